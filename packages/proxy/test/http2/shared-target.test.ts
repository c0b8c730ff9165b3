// What one client can do to the sessions that it shares with others, and to the state of the target.
import { once } from 'node:events';
import {
  createSecureServer,
  createServer,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { dial } from '@ws/node-client';
import { Upgrader } from '@ws/node-server';
import { nothingLeft, rawClient, selfSigned, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front } from '../support.ts';

/** A target of node:http2 that answers each stream with `answer`. It counts its sessions. */
async function target(answer: (stream: ServerHttp2Stream, path: string) => void, settings = {}) {
  const options: ServerOptions = { settings: { enableConnectProtocol: true, ...settings } };
  const server = createServer(options);
  const counted = { url: '', sessions: 0, ended: 0 };
  server.on('session', (session) => {
    counted.sessions++;
    session.on('close', () => counted.ended++);
  });
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    answer(stream, String(headers[':path']));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => void server.close());
  counted.url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return counted;
}

const accept = (stream: ServerHttp2Stream): void => stream.respond({ ':status': 200 });

async function statusOf(port: number, path = '/', add: string[] = []): Promise<number> {
  const client = await rawClient(port);
  const { status } = await client.upgrade({ line: `GET ${path} HTTP/1.1`, add });
  await client.finish();
  return status;
}

describe('a target over HTTP/2 that several clients share', () => {
  nothingLeft();

  it('is up, with its session, after headers of a client that are too large for it', async () => {
    const backend = await target(accept, { maxHeaderListSize: 4_000 });
    const between = await front(backend.url, { http2: 'only' });
    const victim = await dial(between.url);
    for (let i = 0; i < 5; i++) {
      expect(await statusOf(between.port, '/', [`X-Large: ${'x'.repeat(5_000)}`])).toBe(431);
    }
    expect(between.proxy.targets).toMatchObject([{ state: 'up', failed: 0 }]);
    const other = await dial(between.url);
    expect(backend).toMatchObject({ sessions: 1, ended: 0 });
    expect([victim.state, other.state]).toEqual(['open', 'open']);
    for (const conn of [victim, other]) conn.terminate();
  });

  it('is up after streams that it has refused: the client gets 503', async () => {
    const backend = await target((stream, path) => {
      if (path === '/refused') stream.close(7);
      else accept(stream);
    });
    const between = await front(backend.url, { http2: 'only' });
    const victim = await dial(between.url);
    for (let i = 0; i < 5; i++) expect(await statusOf(between.port, '/refused')).toBe(503);
    expect(between.proxy.targets).toMatchObject([{ state: 'up', failed: 0 }]);
    expect(String(between.reported[0])).toContain('takes no new streams of HTTP/2');
    expect(victim.state).toBe('open');
    victim.terminate();
  });

  it('sees the end of a stream that it has refused with a status, and no reset', async () => {
    const codes: (number | undefined)[] = [];
    const backend = await target((stream, path) => {
      if (path !== '/no') return accept(stream);
      stream.resume().on('close', () => codes.push(stream.rstCode));
      stream.respond({ ':status': 401, 'content-length': '3' });
      stream.end('no\n');
    });
    const between = await front(backend.url, { http2: 'only' });
    for (let i = 0; i < 3; i++) expect(await statusOf(between.port, '/no')).toBe(401);
    await expect(dial(backend.url.concat('/no'), { http2: 'only' })).rejects.toThrow('401');
    await expect.poll(() => codes).toEqual([0, 0, 0, 0]);
  });

  it('that requires HTTP/1.1 gets the request over HTTP/1.1 at once', async () => {
    const server = createSecureServer({
      ...(await selfSigned()),
      allowHTTP1: true,
      settings: { enableConnectProtocol: true },
    });
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => {});
      stream.close(13);
    });
    const upgrader = new Upgrader();
    server.on(
      'upgrade',
      upgrader.handler((conn) => conn.receive((message) => conn.send(message))),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(async () => {
      await upgrader.close({ timeout: 1 });
      server.close();
    });
    const url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const tls = { rejectUnauthorized: false };
    const between = await front([{ url, tls }], { http2: 'auto' });
    for (let i = 0; i < 3; i++) {
      const conn = await dial(between.url);
      await conn.send('hello');
      expect((await conn.readMessage()).text()).toBe('hello');
      await conn.close();
    }
    expect(between.proxy.targets).toMatchObject([{ state: 'up', failed: 0 }]);
    expect(between.reported).toEqual([]);
  });
});
