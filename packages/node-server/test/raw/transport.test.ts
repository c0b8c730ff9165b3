import { once } from 'node:events';
import { createServer } from 'node:http';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import { RequestHead } from '@ws/codec';
import { streamTransport, type Transport } from '@ws/conn';
import { inWords, naiveDecode, selfSigned } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { RawUpgrader } from '../../src/raw/index.ts';
import { nothingUnhandled, parseAnswer, request } from '../raw.ts';

nothingUnhandled();

const KIB = 1024;

/** Streams of bytes: the writable takes nothing until `open`. */
function slowStreams() {
  const sent: Uint8Array[] = [];
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  let peer!: ReadableStreamDefaultController<Uint8Array>;
  let closed!: (how: string) => void;
  const end = new Promise<string>((resolve) => (closed = resolve));
  const readable = new ReadableStream<Uint8Array>({ start: (controller) => (peer = controller) });
  const writable = new WritableStream<Uint8Array>({
    async write(chunk) {
      await opened;
      sent.push(chunk);
    },
    close: () => closed('closed'),
    abort: () => closed('aborted'),
  });
  return { readable, writable, open, peer, end, sent: () => Buffer.concat(sent) };
}

function headOf(bytes: Uint8Array = request()): RequestHead {
  const head = new RequestHead();
  head.push(bytes);
  return head;
}

describe('RawUpgrader.accept over a transport', () => {
  it('has the backpressure of a transport that releases bytes before they are sent', async () => {
    const streams = slowStreams();
    const upgrader = new RawUpgrader({ heartbeat: false, maxBufferedAmount: 300 * KIB });
    const conn = await upgrader.accept(headOf(), streamTransport(streams));
    const bytes = new Uint8Array(100 * KIB);
    let settled = 0;
    const first = conn.send(bytes).then(() => settled++);
    const second = conn.send(bytes).then(() => settled++);
    await expect(conn.send(new Uint8Array(200 * KIB))).rejects.toMatchObject({
      code: 'WS_ERR_BACKPRESSURE',
    });
    expect(conn.bufferedAmount).toBeGreaterThan(200 * KIB);
    expect(settled).toBeLessThan(2);
    streams.open();
    await Promise.all([first, second]);
    conn.terminate();
    expect(await streams.end).toBe('aborted');
  });

  it('sends everything to a peer that has ended its half', async () => {
    const streams = slowStreams();
    const upgrader = new RawUpgrader({ heartbeat: false });
    const conn = await upgrader.accept(headOf(), streamTransport(streams));
    for (let i = 0; i < 20; i++) void conn.send(`message ${i}`);
    streams.peer.close();
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1006 });
    streams.open();
    expect(await streams.end).toBe('closed');
    const bytes = streams.sent();
    const frames = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);
    const words = naiveDecode(frames, 'client').frames.map(inWords);
    expect(words.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, i) => `text message ${i}`));
  });

  it('sends a refusal to a peer that has ended its half', async () => {
    const streams = slowStreams();
    const refused = headOf(request({ set: ['Origin: https://evil.example'] }));
    const opening = new RawUpgrader().accept(refused, streamTransport(streams));
    streams.peer.close();
    await expect(opening).rejects.toMatchObject({ status: 403 });
    streams.open();
    expect(await streams.end).toBe('closed');
    expect(parseAnswer(streams.sent().toString('latin1')).status).toBe(403);
  });

  it('survives a transport that releases twice and does not say what it buffers', async () => {
    const sent: Uint8Array[] = [];
    const transport = {
      start() {},
      write(chunk: Uint8Array, release?: () => void) {
        sent.push(chunk.slice());
        release?.();
        release?.();
        return true;
      },
      pause() {},
      resume() {},
      end() {},
      destroy() {},
    };
    const conn = await new RawUpgrader({ heartbeat: false }).accept(
      headOf(),
      transport as unknown as Transport,
    );
    await conn.send('one');
    await conn.send('two');
    await new Promise((resolve) => void setImmediate(resolve));
    expect([conn.state, conn.bufferedAmount]).toEqual(['open', 0]);
    const bytes = Buffer.concat(sent);
    const frames = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);
    expect(naiveDecode(frames, 'client').frames.map(inWords)).toEqual(['text one', 'text two']);
    conn.terminate();
  });

  it('has the addresses of the transport', async () => {
    const streams = slowStreams();
    const transport: Transport = Object.assign(streamTransport(streams), {
      localAddr: '10.0.0.1:80',
      remoteAddr: '10.0.0.2:5000',
    });
    const conn = await new RawUpgrader({ heartbeat: false }).accept(headOf(), transport);
    expect([conn.localAddr, conn.remoteAddr]).toEqual(['10.0.0.1:80', '10.0.0.2:5000']);
    conn.terminate();
  });
});

describe('fallback behind TLS over a Duplex', () => {
  it('gets records that arrive together in their order', async () => {
    const urls: string[] = [];
    const bodies: string[] = [];
    const pages = createServer((req, res) => {
      urls.push(req.url!);
      void text(req).then((body) => {
        bodies.push(body);
        res.end('done');
      });
    });
    const { key, cert } = await selfSigned();
    const [client, server] = [0, 1].map(() => new Duplex({ read() {} }));
    /** After the handshake, two records arrive as one chunk. */
    let records: Buffer[] | undefined;
    client!._write = (chunk: Buffer, _encoding, done) => {
      if (records === undefined) server!.push(chunk);
      else if (records.push(chunk) === 2) server!.push(Buffer.concat(records));
      done();
    };
    server!._write = (chunk: Buffer, _encoding, done) => {
      client!.push(chunk);
      done();
    };
    const decrypted = new tls.TLSSocket(server!, { isServer: true, key, cert });
    new RawUpgrader({ fallback: pages }).listener(() => {})(decrypted);
    const socket = tls.connect({
      socket: client!,
      ca: cert,
      servername: 'localhost',
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect');
    const smuggled = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';
    records = [];
    socket.write(`POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n`);
    socket.write(smuggled);
    await once(socket, 'data');
    expect([urls, bodies]).toEqual([['/form'], [smuggled]]);
    socket.destroy();
    decrypted.destroy();
    pages.close();
  });
});
