import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { selfSigned } from '@ws/tests';
import { describe, expect, test } from 'vitest';
import { Redirects } from '../../src/redirects.ts';
import { parseUrl, type Target, targetOf } from '../../src/target.ts';
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
      const client = new scene.ws(url.replace('localhost', '127.0.0.1'), {
        ...options,
        ...('ca' in options && { ca: cert }),
      } as never);
      client.on('error', () => {});
      scene.watch('client', client);
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
    const client = new scene.ws(url, { rejectUnauthorized: false });
    scene.watch('client', client);
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

describe('Redirects.follow', () => {
  const headers = { Authorization: 'secret', Cookie: 'a=b', Host: 'named', 'X-Other': 'c' };

  test('takes credentials off from TLS to plain text, on the same host too', () => {
    const redirects = new Redirects(target('wss://host:8443/'), headers);
    const plain = redirects.follow(target('ws://host:8443/'), 'user:pass', false);
    expect(plain).toEqual({ headers: { host: 'named', 'x-other': 'c' }, auth: undefined });
  });

  test('keeps them from plain text to TLS on the same host', () => {
    const redirects = new Redirects(target('ws://host:8443/'), headers);
    const { headers: kept } = redirects.follow(target('wss://host:8443/'), undefined, false);
    expect(kept).toMatchObject({ authorization: 'secret', cookie: 'a=b' });
  });

  test.each([
    ['ws+unix:/a.sock', 'ws://a.sock/'],
    ['ws://host/', 'ws+unix:/host'],
    ['ws+unix:/a.sock:/', 'ws+unix:/b.sock:/'],
    ['ws://host:1/', 'ws://host:2/'],
  ])('takes them off from %s to %s', (from, to) => {
    const redirects = new Redirects(target(from), headers);
    const { headers: kept } = redirects.follow(target(to), 'user:pass', false);
    expect(kept).toEqual({ 'x-other': 'c' });
  });
});
