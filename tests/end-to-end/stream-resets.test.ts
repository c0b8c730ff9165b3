import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { dial } from '@ws/node-client';
import { type Conn, serve } from '@ws/node-server';
import { hex, http2Client, WEBSOCKET_REQUEST, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';

const host = '127.0.0.1';
const CODES = [...Array(14).keys()];
/** More than the windows of both ends of a stream, and than each buffer on the way. */
const LARGE = 1024 * 1024;
const CLIENT_TEXT = hex('81 82 00 00 00 00 68 69');

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What an end of a connection does when its peer resets the stream. */
const USERS: Readonly<Record<string, (conn: Conn) => unknown>> = {
  'reads, and writes nothing': (conn) => conn.receive(() => {}),
  'reads, and waits for a write': (conn) => {
    void conn.send(new Uint8Array(LARGE)).catch(() => {});
    return conn.receive(() => {});
  },
  'does not read': () => {},
  'does not read, and waits for a write': (conn) => conn.send(new Uint8Array(LARGE)),
};

describe.each(Object.entries(USERS))('EA1 RST_STREAM to a server that %s', (_, user) => {
  it.each(CODES)('with code %i ends the connection at once', async (code) => {
    let opened!: (conn: Conn) => void;
    const opening = new Promise<Conn>((resolve) => (opened = resolve));
    const server = await serve({ host, http2: 'clear', heartbeat: false }, (conn) => {
      opened(conn);
      return user(conn);
    });
    whenOver(() => server.close({ timeout: 1 }));
    const client = await http2Client((server.http.address() as AddressInfo).port);
    client.headers(1, WEBSOCKET_REQUEST);
    const conn = await opening;
    for (let i = 0; i < 100; i++) client.data(1, CLIENT_TEXT);
    const isWriting = conn.bufferedAmount > 0;
    await client.until(
      () => client.status(1) === 200 && (!isWriting || client.dataLength(1) > 60_000),
    );
    client.reset(1, code);
    const { error } = await conn.closed;
    expect((error?.cause as Error | undefined)?.message ?? error?.message).toMatch(
      /the peer reset the stream/,
    );
    await expect.poll(() => server.stats.open).toBe(0);
  });
});

describe.each(Object.entries(USERS))('EA1 RST_STREAM to a client that %s', (_, user) => {
  it.each(CODES)('with code %i ends the connection at once', async (code) => {
    const peer = createServer({ settings: { enableConnectProtocol: true } });
    let opened!: (stream: ServerHttp2Stream) => void;
    const opening = new Promise<ServerHttp2Stream>((resolve) => (opened = resolve));
    peer.on('stream', (stream) => {
      stream.on('error', () => {}).respond({ ':status': 200 });
      opened(stream);
    });
    peer.listen(0, host);
    await once(peer, 'listening');
    const { port } = peer.address() as AddressInfo;
    const conn = await dial(`ws://${host}:${port}`, { http2: 'only', heartbeat: false });
    whenOver(() => {
      conn.terminate();
      peer.close();
    });
    void Promise.resolve(user(conn)).catch(() => {});
    const stream = await opening;
    for (let i = 0; i < 100; i++) stream.write(hex('81 02 68 69'));
    await turn();
    stream.close(code);
    expect(await conn.closed).toMatchObject({ code: 1006 });
  });
});

describe.each(['write', 'end'] as const)('EA1 RST_STREAM to a page that waits in %s', (write) => {
  it.each(CODES)('with code %i closes its response at once', async (code) => {
    let closed!: () => void;
    const closing = new Promise<void>((resolve) => (closed = resolve));
    const request: RequestListener = (_req, res) => {
      res.on('close', closed);
      res[write](new Uint8Array(LARGE));
    };
    const server = await serve({ host, http2: 'clear', request }, () => {});
    whenOver(() => server.close({ timeout: 1 }));
    const session = connect(`http://${host}:${(server.http.address() as AddressInfo).port}`);
    whenOver(() => session.destroy());
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => {});
    await once(stream, 'response');
    stream.close(code);
    await closing;
  });
});
