import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RawPeer } from '../kit/raw-peer.ts';
import { selfSigned } from '../kit/self-signed.ts';
import { answerPings, connectRaw } from './raw-client.ts';
import { RunState } from './run-state.ts';

describe.each([
  ['TCP', false],
  ['TLS', true],
])('a raw client over %s', (_, secure) => {
  let server: Server;
  let state: RunState;
  let client: RawPeer;
  let accepted: Socket;

  beforeEach(async () => {
    const { key, cert } = await selfSigned();
    server = secure ? createTlsServer({ key, cert }) : createServer({ pauseOnConnect: true });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const connection = once(server, secure ? 'secureConnection' : 'connection') as Promise<
      [Socket]
    >;
    state = new RunState([], secure ? cert : undefined);
    client = await connectRaw(state, `ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    [accepted] = await connection;
    accepted.on('error', () => {});
  });

  afterEach(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });

  it.each([
    { what: 'after a FIN', before: () => client.end() },
    {
      what: 'while the server reads nothing',
      before: () => void client.write(Buffer.alloc(8 * 1024 * 1024)),
    },
    {
      what: 'after a FIN that waits for unread bytes',
      before: () => {
        void client.write(Buffer.alloc(8 * 1024 * 1024));
        client.end();
      },
    },
  ])('closes after a reset, $what', async ({ before }) => {
    expect(state.open).toBe(1);
    before();
    client.reset();
    await client.closed;
    expect(state.open).toBe(0);
  });

  it('answers pings, and nothing else', async () => {
    answerPings(client);
    const heard: Buffer[] = [];
    accepted.on('data', (chunk: Buffer) => heard.push(chunk));
    accepted.write(Buffer.from('8900', 'hex'));
    await once(accepted.resume(), 'data');
    const ended = once(accepted, 'end');
    accepted.end(Buffer.from('8200', 'hex'));
    await ended;
    expect(Buffer.concat(heard).toString('hex')).toBe('8a8037fa213d');
  });
});
