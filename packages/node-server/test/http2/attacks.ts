import { once } from 'node:events';
import process from 'node:process';
import type { Conn } from '@ws/conn';
import {
  frameBytes,
  type Http2Peer,
  headerBlock,
  hex,
  http2Client,
  nothingLeft,
  turn,
  WEBSOCKET_REQUEST,
} from '@ws/tests';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { open, served, sessionWith } from './client.ts';

const POST = { ':method': 'POST', ':scheme': 'http', ':path': '/', ':authority': 'localhost' };

/** Stops the clock that the server reads: on a busy machine, 400 streams may take longer than a second. */
function withinOneSecond(): void {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
}

/** The number of streams that were reset with ENHANCE_YOUR_CALM. */
function calmedStreams({ frames }: Http2Peer): number {
  return frames.filter(({ type, payload }) => type === 'RST_STREAM' && payload[3] === 11).length;
}

/** Attacks on the sessions of a server, by raw peers. */
export function http2Attacks(secure: boolean): void {
  describe(`a server of HTTP/2 ${secure ? 'in TLS' : 'in clear'}`, () => {
    nothingLeft();

    const heartbeat = { interval: 50, timeout: 50 };

    it('ends a session that nghttp2 has ended without an event', async () => {
      const server = await served(secure, { heartbeat });
      const peer = await http2Client(server.port, [], secure);
      await peer.until(() => peer.story(0).length > 1);
      peer.data(0, Buffer.from('a fault'));
      await peer.over();
      expect(server.stats.open).toBe(0);
    });

    it('ends a session whose client answers no ping, without a stream', async () => {
      const server = await served(secure, { heartbeat });
      const peer = await http2Client(server.port, [], secure);
      peer.answers = false;
      await peer.over();
    });

    it('keeps a session whose client answers pings', async () => {
      const server = await served(secure, { heartbeat: { interval: 50, timeout: 5_000 } });
      const peer = await http2Client(server.port, [], secure);
      await peer.until(() => peer.frames.filter(({ type }) => type === 'PING').length > 2);
      expect(peer.ended).toBe(false);
    });

    it('ends a session that resets 400 of 450 streams in one segment, and serves others', async () => {
      withinOneSecond();
      const server = await served(secure);
      const peer = await http2Client(server.port, [], secure);
      const block = headerBlock(Object.entries(WEBSOCKET_REQUEST));
      const ids = Array.from({ length: 450 }, (_, i) => 2 * i + 1);
      peer.socket.write(Buffer.concat(ids.map((id) => frameBytes('HEADERS', 4, id, block))));
      await peer.until(() => peer.story(899).length > 0);
      const cancel = Buffer.from([0, 0, 0, 8]);
      peer.socket.write(
        Buffer.concat(ids.slice(0, 400).map((id) => frameBytes('RST_STREAM', 0, id, cancel))),
      );
      await peer.over();
      // Node destroys a TLS socket before the GOAWAY is encrypted.
      if (!secure) expect(peer.story(0).at(-1)).toBe('GOAWAY 11');
      while (server.stats.open > 0) await turn();
      const conn = await open(await sessionWith(server.url));
      await conn.send('still here');
      expect((await conn.readMessage()).text()).toBe('still here');
    });

    it('ends a session that resets its streams before their answer', async () => {
      withinOneSecond();
      const server = await served(secure, { authenticate: () => new Promise<boolean>(() => {}) });
      const peer = await http2Client(server.port, [], secure);
      const block = headerBlock(Object.entries(WEBSOCKET_REQUEST));
      const cancel = Buffer.from([0, 0, 0, 8]);
      for (let id = 1; id < 1_000 && !peer.ended; id += 2) {
        peer.send('HEADERS', 4, id, block);
        peer.send('RST_STREAM', 0, id, cancel);
      }
      await peer.over();
    });

    it('keeps a session of users who leave later', async () => {
      const server = await served(secure);
      const session = await sessionWith(server.url);
      const conns = await Promise.all(Array.from({ length: 250 }, () => open(session)));
      // The server's own resets are none of its client.
      for (const conn of server.connections) conn.terminate();
      await Promise.all(conns.map((conn) => conn.closed));
      const conn = await open(session);
      expect(await conn.close()).toMatchObject({ wasClean: true });
    });

    it('ends a connection whose client gives no window', async () => {
      const server = await served(secure, { heartbeat }, ((conn: Conn) => {
        conn.send(new Uint8Array(100_000)).catch(() => {});
        return conn.receive(() => {});
      }) as never);
      // The window of a stream is 0.
      const peer = await http2Client(server.port, [[4, 0]], secure);
      peer.headers(1, WEBSOCKET_REQUEST);
      await peer.until(() => peer.story(1).includes('RST_STREAM 8'));
      expect(peer.bytes(1)).toHaveLength(0);
      expect(peer.ended).toBe(false);
    });

    it('bounds the memory of 1,000 streams that are never read', async () => {
      const server = await served(secure, {}, () => new Promise(() => {}));
      const peer = await http2Client(server.port, [], secure);
      const block = headerBlock(Object.entries(WEBSOCKET_REQUEST));
      const ids = Array.from({ length: 1_000 }, (_, i) => 2 * i + 1);
      peer.socket.write(Buffer.concat(ids.map((id) => frameBytes('HEADERS', 4, id, block))));
      while (server.stats.open < 1_000) await turn();
      // One message that fills the window of its stream.
      const message = Buffer.alloc(262_144);
      message.set([0x82, 0xff]);
      message.writeUInt32BE(262_144 - 14, 6);
      for (let at = 0; at < message.length; at += 16_384) {
        const data = message.subarray(at, at + 16_384);
        const round = Buffer.concat(ids.map((id) => frameBytes('DATA', 0, id, data)));
        if (!peer.socket.write(round)) await once(peer.socket, 'drain');
      }
      const calmed = (): number => calmedStreams(peer);
      // Of 256 MiB, at most 32 MiB stay: in 128 streams, or in somewhat more that the connections have read.
      while (calmed() < 800) await turn();
      for (let i = 0; i < 20; i++) await turn();
      expect(peer.ended).toBe(false);
      expect(server.connections.size).toBe(1_000 - calmed());
    });

    it('bounds the memory of 1,000 bodies that no page reads', async () => {
      const pages: unknown[] = [];
      const server = await served(secure, { request: (_req, res) => void pages.push(res) });
      const peer = await http2Client(server.port, [], secure);
      peer.headers(1, WEBSOCKET_REQUEST);
      const block = headerBlock(Object.entries(POST));
      const ids = Array.from({ length: 999 }, (_, i) => 2 * i + 3);
      peer.socket.write(Buffer.concat(ids.map((id) => frameBytes('HEADERS', 4, id, block))));
      while (pages.length < ids.length) await turn();
      for (let sent = 0; sent < 262_144; sent += 16_384) {
        const data = Buffer.alloc(16_384);
        const round = Buffer.concat(ids.map((id) => frameBytes('DATA', 0, id, data)));
        if (!peer.socket.write(round)) await once(peer.socket, 'drain');
      }
      while (calmedStreams(peer) < 800) await turn();
      peer.data(1, hex('81 82 00 00 00 00 68 69'));
      await peer.until(() => peer.bytes(1).includes('hi'));
    });

    it.each(['PING', 'SETTINGS'])('ends a session that floods it with %s', async (type) => {
      const server = await served(secure);
      const peer = await http2Client(server.port, [], secure);
      const frame = frameBytes(type, 0, 0, Buffer.alloc(type === 'PING' ? 8 : 0));
      peer.socket.write(Buffer.concat(Array<Buffer>(3_000).fill(frame)));
      await peer.over();
    });

    it('ends a session that never ends the headers of a request, and serves others', async () => {
      const server = await served(secure, { heartbeat });
      const peer = await http2Client(server.port, [], secure);
      await peer.until(() => peer.story(0).length > 1);
      const before = process.memoryUsage().rss;
      peer.send('HEADERS', 0, 1, headerBlock(Object.entries(WEBSOCKET_REQUEST)));
      // 160 MB of one header block, which no JavaScript sees before its end.
      const fragment = frameBytes('CONTINUATION', 0, 1, headerBlock([['x', 'y'.repeat(16_000)]]));
      for (let i = 0; i < 10_000 && !peer.ended; i++) {
        if (peer.socket.write(fragment)) continue;
        const drained = new Promise((resolve) => peer.socket.once('drain', resolve));
        await Promise.race([drained, peer.over()]);
      }
      await peer.over();
      expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
      expect(server.stats).toMatchObject({ opened: 0, handshakesPending: 0 });
      const conn = await open(await sessionWith(server.url));
      expect(await conn.close()).toMatchObject({ wasClean: true });
    });
  });
}
