import { type Conn, type ConnSettings, Dialer } from '@ws/node-client';
import { type ServeOptions, serve } from '@ws/node-server';
import { selfSigned } from '../kit/index.ts';
import { type Carrier, type OurEnd, whenOver } from '../peers/index.ts';

/** A connection over a socket with our code at both ends. */
export interface BothOurs {
  readonly client: OurEnd;
  readonly server: OurEnd;
}

/** Connects our client to our server. Both end with the test. */
export async function bothOurs(
  { secure, http2 }: Carrier,
  settings: ConnSettings = {},
): Promise<BothOurs> {
  const { key, cert } = await selfSigned();
  let accept!: (conn: Conn) => void;
  const accepted = new Promise<Conn>((resolve) => {
    accept = resolve;
  });
  const tls = secure ? { key, cert } : undefined;
  const version: ServeOptions['http2'] = http2 && !secure ? 'clear' : http2;
  const options = { ...settings, host: '127.0.0.1', tls, http2: version };
  const listening = await serve(options, (conn) => accept(conn));
  whenOver(() => listening.close());
  const mode = http2 ? 'only' : false;
  const dialer = new Dialer({ ...settings, http2: mode, tls: { ca: cert } });
  const conn = await dialer.dial(listening.url);
  whenOver(() => conn.terminate());
  return {
    client: { conn, left: () => (conn.state === 'closed' ? 0 : 1) },
    server: { conn: await accepted, left: () => listening.connections.size },
  };
}
