// Tests the built packages on the current runtime: the codec, Conns without a socket, a server and a
// client over TCP, TLS and Unix sockets, compression, proxies, a hub, the API of ws. Prints one line
// for each part, and exits with 1 if one failed.
// Writes the outcomes to `.out/runtimes`. `--data-events`: without the read buffer, and nothing is written.
//   node tools/runtime-smoke.mjs    bun tools/runtime-smoke.mjs    deno run -A tools/runtime-smoke.mjs
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { fromWebSocket, dial as pageDial } from '@ws/browser';
import { encodeFrame, FRAME, FrameDecoder, FrameEncoder, parseExtensions } from '@ws/codec';
import { WebSocketServer, WebSocket as WsClient } from '@ws/compat';
import { BinaryMessage, broadcast, connPair, isCloseError, TextMessage } from '@ws/conn';
import { Hub } from '@ws/hub';
import { BadHandshakeError, Dialer, dial, reconnecting } from '@ws/node-client';
import { readBufferState } from '@ws/node-io';
import { serve, Upgrader } from '@ws/node-server';
import { serveRaw } from '@ws/node-server/raw';
import { createProxy } from '@ws/proxy';
import { generate } from 'selfsigned';

const { bun, deno } = process.versions;
const runtime = bun ? `bun ${bun}` : deno ? `deno ${deno}` : `node ${process.versions.node}`;
/** Longest time for a part: a runtime may never call back. */
const PATIENCE = 20_000;
const DATA_EVENTS = '--data-events';
const AGAIN = 'all of this by data events';
const withoutBuffer = process.argv.includes(DATA_EVENTS);

const echo = (conn) => conn.receive((message) => conn.send(message));

const parts = {
  codec() {
    const encoder = new FrameEncoder({ role: 'client' });
    encoder.text(TextMessage, true, 0, 'grüße');
    const decoder = new FrameDecoder({ role: 'server' });
    const decoded = [];
    encoder.flush((chunk, release) => {
      decoder.push(chunk.slice());
      release();
      while (decoder.next() === FRAME) decoded.push(Buffer.from(decoder.view()).toString());
    });
    assert.deepEqual(decoded, ['grüße']);
    // A frame large enough for the SIMD path.
    const large = Uint8Array.from({ length: 300_000 }, (_, i) => i);
    decoder.push(Uint8Array.from(encodeFrame(BinaryMessage, large, { maskKey: 0x12345678 })));
    assert.equal(decoder.next(), FRAME);
    assert.deepEqual(decoder.buf.subarray(decoder.start, decoder.end), large);
    assert.equal(parseExtensions('permessage-deflate; client_max_window_bits').length, 1);
  },

  async conn() {
    const [client, server] = connPair();
    const served = echo(server);
    await client.send('hello');
    assert.equal((await client.readMessage()).text(), 'hello');
    const writer = await client.nextWriter(BinaryMessage);
    for (let i = 0; i < 100; i++) await writer.write(new Uint8Array(10_000).fill(i));
    await writer.close();
    assert.equal((await (await client.nextReader()).bytes()).length, 1_000_000);
    const closing = client.close(1000, 'done');
    assert.equal((await closing).wasClean, true);
    await served;
  },

  async 'conn, its streams and JSON'() {
    const [client, server] = connPair();
    const piping = (async () => {
      const reader = await server.nextReader();
      await reader.readable().pipeTo((await server.nextWriter(reader.type)).writable());
    })();
    await client.writeJSON({ x: [1, 'ä'] });
    assert.deepEqual(await client.readJSON(), { x: [1, 'ä'] });
    await piping;
    void server.discardReads();
    await client.close();
  },

  async "the client of pages over the runtime's WebSocket"() {
    const ends = [];
    const server = await serve({ port: 0, host: '127.0.0.1', subprotocols: ['b'] }, (conn) => {
      ends.push(conn.closed);
      return conn.receive((message) => {
        const command = message.isText ? message.text() : '';
        if (command === 'terminate') return conn.terminate();
        if (command === 'close') return void conn.close(4001, 'bye');
        return conn.send(message);
      });
    });
    const conn = await pageDial(server.url, { subprotocols: ['a', 'b'], highWaterMark: 1000 });
    assert.equal(conn.subprotocol, 'b');
    let sent = 0;
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      const bytes = new Uint8Array(size).fill(size);
      await conn.send(bytes);
      assert.deepEqual(Uint8Array.from((await conn.readMessage()).data), bytes);
      const text = 'é'.repeat(size / 2);
      await conn.send(text);
      assert.equal((await conn.readMessage()).text(), text);
      sent += size + 2 * text.length;
    }
    assert.equal(conn.stats.bytesOut, sent);
    // A mistake is reported, and does not end the process: `reportError` of Deno would.
    const { error: print } = console;
    const printed = [];
    console.error = (error) => void printed.push(error);
    await assert.rejects(conn.send(5), TypeError);
    await new Promise((resolve) => setTimeout(resolve));
    console.error = print;
    if (globalThis.reportError === undefined || deno) assert.equal(printed.length, 1);
    let n = 0;
    const reading = conn.receive((message) => {
      assert.equal(message.text(), String(n++));
      return n === 1000 ? conn.close(4000, 'done').then(() => {}) : undefined;
    });
    for (let i = 0; i < 1000; i++) await conn.send(String(i));
    await assert.rejects(reading, { closeCode: 4000 });
    assert.equal((await ends[0]).code, 4000);
    for (const [command, code] of Object.entries({ close: 4001, terminate: 1006 })) {
      const early = fromWebSocket(new WebSocket(server.url));
      await early.send(command);
      await assert.rejects(early.readMessage(), { closeCode: code });
      assert.equal((await early.closed).code, code);
    }
    await server.close();
    await assert.rejects(pageDial(server.url), { code: 'WS_ERR_TRANSPORT' });
  },

  async 'server and client'() {
    const server = await serve({ port: 0, host: '127.0.0.1', subprotocols: ['b'] }, echo);
    const conn = await dial(server.url, { subprotocols: ['a', 'b'] });
    assert.equal(conn.subprotocol, 'b');
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      const bytes = new Uint8Array(size).fill(size);
      await conn.send(bytes);
      assert.deepEqual(Uint8Array.from((await conn.readMessage()).data), bytes);
    }
    void conn.discardReads();
    assert.ok((await conn.ping()) >= 0);
    assert.equal((await conn.close()).code, 1000);
    await server.close();
  },

  async 'a refusal'() {
    const refuse = { refuse: 403, body: 'not you\n' };
    const server = await serve({ port: 0, host: '127.0.0.1', authenticate: () => refuse }, echo);
    await assert.rejects(dial(server.url), (error) => {
      assert.ok(error instanceof BadHandshakeError, String(error));
      assert.equal(error.status, 403);
      assert.equal(Buffer.from(error.body).toString(), 'not you\n');
      return true;
    });
    await server.close();
  },

  async 'an Upgrader on a server of node:http'() {
    const http = createServer((_req, res) => res.end('a page\n'));
    http.on('upgrade', new Upgrader().handler(echo));
    await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address();
    const conn = await dial(`ws://127.0.0.1:${port}/`);
    await conn.send('beside a page');
    assert.equal((await conn.readMessage()).text(), 'beside a page');
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'a page\n');
    await conn.close();
    http.closeAllConnections?.();
    http.close();
  },

  async compression() {
    const options = { compression: { mode: 'takeover', threshold: 0 } };
    const server = await serve({ port: 0, host: '127.0.0.1', ...options }, echo);
    const conn = await new Dialer(options).dial(server.url);
    assert.match(conn.extensions, /permessage-deflate/);
    const text = 'again and again, '.repeat(500);
    for (let i = 0; i < 20; i++) {
      await conn.send(text);
      assert.equal((await conn.readMessage()).text(), text);
    }
    assert.ok(conn.stats.bytesOut < text.length, 'it was not compressed');
    await conn.close();
    await server.close();
  },

  async TLS() {
    // An authority and a certificate that it signed: Deno rejects a certificate that is both.
    const authority = await generate([{ name: 'commonName', value: 'authority' }], {
      keyType: 'ec',
      algorithm: 'sha256',
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, critical: true },
      ],
    });
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'server' }], {
      keyType: 'ec',
      algorithm: 'sha256',
      ca: { key: authority.private, cert: authority.cert },
      extensions: [
        { name: 'basicConstraints', cA: false },
        { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
      ],
    });
    const server = await serve({ port: 0, host: '127.0.0.1', tls: { key, cert } }, echo);
    await assert.rejects(dial(server.url), 'an untrusted certificate');
    const conn = await new Dialer({ tls: { ca: authority.cert } }).dial(server.url);
    for (const size of [1, 100_000, 1_000_000]) {
      await conn.send(new Uint8Array(size).fill(7));
      assert.deepEqual(
        Uint8Array.from((await conn.readMessage()).data),
        new Uint8Array(size).fill(7),
      );
    }
    assert.equal((await conn.close()).wasClean, true);
    await server.close();
  },

  async 'a Unix socket'() {
    const socketPath = join(tmpdir(), `runtime-smoke-${process.pid}.sock`);
    const server = await serve({ socketPath }, echo);
    const conn = await dial(server.url);
    await conn.send('no port');
    assert.equal((await conn.readMessage()).text(), 'no port');
    await conn.close();
    await server.close();
  },

  async 'a proxy, by CONNECT'() {
    const server = await serve({ port: 0, host: '127.0.0.1' }, echo);
    const proxy = net.createServer((client) => {
      client.on('error', () => {});
      client.once('data', (head) => {
        const [, host, port] = /^CONNECT ([\d.]+):(\d+) HTTP/.exec(head.toString());
        const target = net.connect(Number(port), host, () => {
          client.write('HTTP/1.1 200 OK\r\n\r\n');
          client.pipe(target).pipe(client);
        });
        target.on('error', () => client.destroy());
      });
    });
    await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const dialer = new Dialer({ proxy: new URL(`http://127.0.0.1:${proxy.address().port}`) });
    const conn = await dialer.dial(server.url);
    await conn.send('through');
    assert.equal((await conn.readMessage()).text(), 'through');
    await conn.close();
    await server.close();
    proxy.close();
  },

  async 'a redirect'() {
    const server = await serve({ port: 0, host: '127.0.0.1' }, echo);
    const http = createServer();
    http.on('upgrade', (_req, socket) => {
      const location = `Location: ${server.url}\r\n`;
      socket.end(`HTTP/1.1 302 Found\r\n${location}Content-Length: 0\r\nConnection: close\r\n\r\n`);
    });
    await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
    const url = `ws://127.0.0.1:${http.address().port}`;
    const conn = await new Dialer({ followRedirects: 1 }).dial(url);
    await conn.send('elsewhere');
    assert.equal((await conn.readMessage()).text(), 'elsewhere');
    await conn.close();
    await server.close();
    http.closeAllConnections?.();
    http.close();
  },

  async reconnecting() {
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => conn.close(1012));
    let count = 0;
    for await (const conn of reconnecting(server.url, { minDelay: 1, maxDelay: 2 })) {
      await conn.readMessage().catch(() => {});
      if (++count === 3) break;
    }
    assert.equal(count, 3);
    await server.close();
  },

  async 'timeouts and the heartbeat'() {
    const heartbeat = { interval: 50, timeout: 50 };
    const server = await serve({ port: 0, host: '127.0.0.1', heartbeat }, (conn) =>
      conn.discardReads(),
    );
    // Completes the handshake, then sends nothing.
    const socket = net.connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write(
      'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    while (server.connections.size === 0) await new Promise((resolve) => setImmediate(resolve));
    const [conn] = server.connections;
    assert.equal((await conn.closed).code, 1006);
    socket.destroy();
    const [client] = connPair();
    await assert.rejects(client.readMessage({ timeout: 10 }), /timed out|deadline|timeout/i);
    client.terminate();
    await server.close();
  },

  async 'a slow reader'() {
    // More than the socket buffers of any system hold.
    const [size, count] = [100_000, 400];
    let [sent, most] = [0, 0];
    const server = await serve({ port: 0, host: '127.0.0.1' }, async (conn) => {
      while (sent < count) {
        const sending = conn.send(new Uint8Array(size).fill(sent));
        most = Math.max(most, conn.bufferedAmount);
        await sending;
        sent++;
      }
      await conn.close();
    });
    const conn = await dial(server.url);
    // Write until a write waits. A socket without backpressure has sent everything by then.
    for (let before = -1; before !== sent && sent < count; ) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.ok(sent < count, 'no write waited for the reader');
    let i = 0;
    for await (const { data } of conn) assert.equal(data[size - 1], i++ % 256);
    assert.equal(i, count);
    // A write waits at the high-water mark of 64 KiB. So at most that and one message are buffered.
    assert.ok(most <= 65_536 + size + 14, `${most} bytes were held for a slow reader`);
    await server.close();
  },

  async diagnostics() {
    const seen = [];
    const see = (_, name) => void seen.push(name);
    for (const name of ['@ws:open', '@ws:close']) subscribe(name, see);
    const server = await serve({ port: 0, host: '127.0.0.1' }, echo);
    const conn = await dial(server.url);
    await conn.close();
    await server.close();
    for (const name of ['@ws:open', '@ws:close']) unsubscribe(name, see);
    assert.deepEqual(
      seen.toSorted((a, b) => a.localeCompare(b)),
      ['@ws:close', '@ws:close', '@ws:open', '@ws:open'],
    );
  },

  async 'shutting down'() {
    const server = await serve({ port: 0, host: '127.0.0.1' }, echo);
    const conn = await dial(server.url);
    void conn.discardReads();
    await Promise.all([server.close(), conn.closed]);
    assert.equal((await conn.closed).code, 1001);
  },

  async broadcast() {
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => conn.discardReads());
    const clients = await Promise.all(Array.from({ length: 20 }, () => dial(server.url)));
    while (server.connections.size < 20) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(broadcast(server.connections, 'to all'), 20);
    for (const conn of clients) {
      assert.equal((await conn.readMessage()).text(), 'to all');
      void conn.discardReads();
    }
    await server.close();
  },

  async 'a peer that is gone'() {
    let gone;
    const over = new Promise((resolve) => {
      gone = resolve;
    });
    const server = await serve({ port: 0, host: '127.0.0.1' }, async (conn) => {
      await conn.readMessage().catch((error) => gone(error));
    });
    const conn = await dial(server.url);
    conn.terminate();
    assert.ok(isCloseError(await over, 1006));
    await server.close();
  },

  async 'a server without node:http'() {
    const server = await serveRaw({ port: 0, host: '127.0.0.1' }, echo);
    const conn = await dial(server.url);
    await conn.send('raw');
    assert.equal((await conn.readMessage()).text(), 'raw');
    await conn.close();
    await server.close();
  },

  async 'a room of a hub'() {
    const hub = new Hub();
    hub.on('connect', (session) => session.join('lobby'));
    hub.on('message', (_, message) => hub.room('lobby').publish(message));
    const server = await serve({ port: 0, host: '127.0.0.1' }, hub.handler);
    const [one, other] = await Promise.all([dial(server.url), dial(server.url)]);
    while (hub.room('lobby').members.size < 2) await new Promise((done) => setImmediate(done));
    await one.send('to all');
    for (const conn of [one, other]) {
      assert.equal((await conn.readMessage()).text(), 'to all');
      void conn.discardReads();
    }
    await server.close();
    await hub.close();
  },

  async 'a reverse proxy'() {
    const target = await serve({ port: 0, host: '127.0.0.1' }, echo);
    const proxy = createProxy(target.url);
    const http = createServer().on('upgrade', proxy.handler);
    await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
    const conn = await dial(`ws://127.0.0.1:${http.address().port}`);
    await conn.send('through');
    assert.equal((await conn.readMessage()).text(), 'through');
    await conn.close();
    await proxy.close();
    http.close();
    await target.close();
  },

  async 'the API of ws'() {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    server.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
    await new Promise((resolve) => server.once('listening', resolve));
    const client = new WsClient(`ws://127.0.0.1:${server.address().port}`);
    const answer = await new Promise((resolve, reject) => {
      client.on('error', reject).on('open', () => client.send('hello'));
      client.on('message', resolve);
    });
    assert.deepEqual(answer, Buffer.from('hello'));
    const closed = new Promise((resolve) => client.once('close', resolve));
    client.close();
    await closed;
    await new Promise((resolve) => server.close(resolve));
  },

  async 'handlers in the context of their call'() {
    const storage = new AsyncLocalStorage();
    const seen = [];
    const see = () => void seen.push(storage.getStore());
    const hub = new Hub();
    storage.run('hub', () => hub.on('message', see));
    const server = await serve(
      { port: 0, host: '127.0.0.1' },
      {
        '/receive': (conn) => storage.run('receive', () => void conn.receive(see)),
        '/loop': (conn) =>
          storage.run('loop', async () => {
            for await (const _ of conn) see();
          }),
        '/hub': hub.handler,
      },
    );
    for (const path of ['receive', 'loop', 'hub']) {
      const conn = await dial(`${server.url}/${path}`);
      for (let i = 0; i < 3; i++) await conn.send('x');
      await conn.close();
      assert.deepEqual(seen.splice(0), [path, path, path]);
    }
    await server.close();
  },

  /** After the others: a server or a client has started the self-test. */
  'one read buffer on Node for Linux, none elsewhere'() {
    const on = process.platform === 'linux' && !bun && !deno && !withoutBuffer;
    assert.equal(readBufferState().state, on ? 'on' : 'off', readBufferState().reason);
  },

  async [AGAIN]() {
    const { stdout } = await promisify(execFile)(process.execPath, [process.argv[1], DATA_EVENTS]);
    assert.match(stdout, /the API of ws: ok/);
  },
};
// Bun and Deno have no other way, and a child of this part does not run it again.
if (bun || deno || withoutBuffer) delete parts[AGAIN];
// Node 20 has no WebSocket.
if (globalThis.WebSocket === undefined) {
  delete parts["the client of pages over the runtime's WebSocket"];
}

if (withoutBuffer) {
  // The self-test of the buffer fails without this method.
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  let of = server._handle;
  while (!Object.hasOwn(of, 'useUserBuffer')) of = Object.getPrototypeOf(of);
  delete of.useUserBuffer;
  server.close();
}

let failed = 0;
const outcomes = {};
for (const [name, part] of Object.entries(parts)) {
  let timer;
  const patience = new Promise((_, reject) => {
    const most = name === AGAIN ? 10 * PATIENCE : PATIENCE;
    timer = setTimeout(() => reject(new Error('nothing happened')), most);
  });
  const error = await Promise.race([(async () => part())(), patience]).then(
    () => undefined,
    (reason) => reason,
  );
  clearTimeout(timer);
  if (error !== undefined) failed++;
  outcomes[name] = error === undefined;
  console.log(`${runtime}: ${name}: ${error === undefined ? 'ok' : `${error.stack ?? error}`}`);
}
// For the table in docs/runtimes.md: tools/check/runtimes.ts.
if (!withoutBuffer) {
  mkdirSync('.out/runtimes', { recursive: true });
  const result = { runtime, system: `${process.platform} ${process.arch}`, parts: outcomes };
  writeFileSync(`.out/runtimes/${runtime.replace(' ', '-')}.json`, JSON.stringify(result));
}
process.exit(failed === 0 ? 0 : 1);
