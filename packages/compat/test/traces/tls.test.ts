import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { selfSigned } from '@ws/tests';
import { describe, expect, test } from 'vitest';
import { mayGetCredentials, parseUrl, type Target, targetOf } from '../../src/target.ts';
import { closed, type Scene, sameTrace } from '../trace.ts';

/** A wss server that echoes, and its URL. */
async function secure(scene: Scene, options: object = {}): Promise<string> {
  const server = https.createServer({ ...(await selfSigned()), ...options });
  const wss = new scene.ws.WebSocketServer({
    server,
    verifyClient: ({ secure: isSecure, req }: { secure: boolean; req: { headers: object } }) => {
      scene.log('server', 'secure', isSecure);
      return req !== undefined;
    },
  });
  wss.on('connection', (ws) => {
    ws.on('error', () => {});
    ws.on('message', (data) => ws.send(data));
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scene.cleanup(() => {
    wss.close();
    server.close();
  });
  return `wss://localhost:${(server.address() as AddressInfo).port}`;
}

describe('wss', () => {
  for (const [name, options] of [
    ['without the authority', {}],
    ['without a check', { rejectUnauthorized: false }],
    ['with the authority', { ca: '' }],
    ['with another name', { ca: '', checkServerIdentity: () => new Error('not you') }],
    ['with a server name', { ca: '', servername: 'other.example', rejectUnauthorized: false }],
    ['with an address', { ca: '', host: '127.0.0.1' }],
  ] as const) {
    sameTrace(`connects ${name}`, async (scene) => {
      const url = await secure(scene);
      const { cert } = await selfSigned();
      const client = scene.client(url.replace('localhost', '127.0.0.1'), {
        ...options,
        ...('ca' in options && { ca: cert }),
      } as never);
      client.on('open', () => {
        for (const size of [5, 40_000, 100_000]) client.send(Buffer.alloc(size, size));
      });
      let left = 3;
      client.on('message', () => {
        if (--left === 0) client.close(1000);
      });
      await closed(client);
    });
  }

  sameTrace('sends many messages in order', async (scene) => {
    const url = await secure(scene);
    const client = scene.client(url, { rejectUnauthorized: false });
    await once(client, 'open');
    for (let i = 0; i < 300; i++) client.send(Buffer.alloc(1 + ((i * 97) % 2000), i));
    let left = 300;
    client.on('message', () => {
      if (--left === 0) client.close();
    });
    await closed(client);
  });
});

function target(url: string): Target {
  return targetOf(parseUrl(url));
}

describe('mayGetCredentials', () => {
  test.each([
    ['wss://host:8443/', 'ws://host:8443/', false],
    ['ws://host:8443/', 'wss://host:8443/', true],
    ['ws://host:1/a', 'ws://host:1/b', true],
    ['ws://host:1/', 'ws://host:2/', false],
    ['ws://one/', 'ws://two/', false],
    ['ws+unix:/a.sock', 'ws://a.sock/', false],
    ['ws://host/', 'ws+unix:/host', false],
    ['ws+unix:/a.sock:/', 'ws+unix:/b.sock:/', false],
    ['ws+unix:/a.sock:/', 'ws+unix:/a.sock:/b', true],
  ])('a redirect from %s to %s: %s', (from, to, expected) => {
    expect(mayGetCredentials(target(to), target(from))).toBe(expected);
  });
});
