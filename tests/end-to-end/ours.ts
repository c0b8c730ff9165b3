import { type Conn, type ConnSettings, Dialer } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { selfSigned } from '../../src/index.ts';
import { type Ours, whenOver } from '../../src/peers/index.ts';

/** Both ends of a connection, ours, over a socket. */
export interface BothOurs {
  readonly client: Ours;
  readonly server: Ours;
}

/** Opens a connection between our client and our server; both end with the test. */
export async function bothOurs(secure: boolean, settings: ConnSettings = {}): Promise<BothOurs> {
  const { key, cert } = await selfSigned();
  let accept!: (conn: Conn) => void;
  const accepted = new Promise<Conn>((resolve) => {
    accept = resolve;
  });
  const tls = secure ? { key, cert } : undefined;
  const listening = await serve({ ...settings, host: '127.0.0.1', tls }, (conn) => accept(conn));
  whenOver(() => listening.close());
  const { conn } = await new Dialer({ ...settings, tls: { ca: cert } }).dial(listening.url);
  whenOver(() => conn.terminate());
  return {
    client: { conn, left: () => (conn.state === 'closed' ? 0 : 1) },
    server: { conn: await accepted, left: () => listening.connections.size },
  };
}

/** The two ends in one order and the other. */
export const DIRECTIONS = [
  { from: 'client', to: 'server' },
  { from: 'server', to: 'client' },
] as const;
