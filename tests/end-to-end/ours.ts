import { type Conn, type ConnSettings, Dialer } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { selfSigned } from '../kit/index.ts';
import { type OurEnd, whenOver } from '../peers/index.ts';

/** A connection over a socket with our code at both ends. */
export interface BothOurs {
  readonly client: OurEnd;
  readonly server: OurEnd;
}

/** Connects our client to our server. Both end with the test. */
export async function bothOurs(secure: boolean, settings: ConnSettings = {}): Promise<BothOurs> {
  const { key, cert } = await selfSigned();
  let accept!: (conn: Conn) => void;
  const accepted = new Promise<Conn>((resolve) => {
    accept = resolve;
  });
  const tls = secure ? { key, cert } : undefined;
  const listening = await serve({ ...settings, host: '127.0.0.1', tls }, (conn) => accept(conn));
  whenOver(() => listening.close());
  const conn = await new Dialer({ ...settings, tls: { ca: cert } }).dial(listening.url);
  whenOver(() => conn.terminate());
  return {
    client: { conn, left: () => (conn.state === 'closed' ? 0 : 1) },
    server: { conn: await accepted, left: () => listening.connections.size },
  };
}
