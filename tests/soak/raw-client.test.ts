import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { selfSigned } from '../../src/self-signed.ts';
import { type RudeClient, rudeClient } from '../../src/soak/rude-client.ts';
import { Scene } from '../../src/soak/scene.ts';

describe.each([[false], [true]])('a client with no manners (over TLS: %j)', (secure) => {
  let server: Server;
  let scene: Scene;
  let client: RudeClient;
  let accepted: Socket;

  beforeEach(async () => {
    const { key, cert } = await selfSigned();
    server = secure ? createTlsServer({ key, cert }) : createServer({ pauseOnConnect: true });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const connection = once(server, secure ? 'secureConnection' : 'connection') as Promise<
      [Socket]
    >;
    scene = new Scene([], secure ? cert : undefined);
    client = await rudeClient(scene, `ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
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
      what: 'while nobody reads what it has written',
      before: () => client.bytes(Buffer.alloc(8 * 1024 * 1024)),
    },
    {
      what: 'after a FIN that waits behind what nobody reads',
      before: () => {
        client.bytes(Buffer.alloc(8 * 1024 * 1024));
        client.end();
      },
    },
  ])('has left once it has reset, $what', async ({ before }) => {
    expect(scene.open).toBe(1);
    before();
    client.reset();
    await client.closed;
    expect(scene.open).toBe(0);
  });

  it('answers pings, and nothing else, once it is told to', async () => {
    client.answerPings();
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
