// Setup file of `pnpm long http2`: the targets of the attacks get their bytes from streams of a session of node:http2.
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import process from 'node:process';
import { Duplex } from 'node:stream';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import type { Transport, TransportSink } from '@ws/conn';
import { http2Transport } from '@ws/node-io';
import { FakePlatform, frameBytes, hex, selfSigned, TestTransport, turn } from '../kit/index.ts';
import { costs } from './harness/index.ts';
import { targets } from './target-conn.ts';

const MOST = 2 ** 31 - 1;
/** Settings: extended CONNECT, and no limit of streams and windows. */
const SETTINGS = hex('0008 00000001  0003 7fffffff  0004 7fffffff');
const ACK = 0x1;
const END_STREAM = 0x1;
/** The type of a frame. */
const HEADERS = 1;
/** Bytes before the first frame of a client. */
const PREFACE = 24;
const END_HEADERS = 0x4;
/** `:status` 200 (RFC 7541, appendix A). */
const STATUS_200 = Uint8Array.of(0x88);
const CANCEL = Uint8Array.of(0, 0, 0, 8);
const REQUEST = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'http',
  ':path': '/',
  ':authority': 'localhost',
};
/** Turns of the event loop until a stream has closed. */
const TURNS = 4;
/** nghttp2 ends a session after 1,000 frames for streams that it has reset. */
const MAX_STREAMS = 500;

const IS_SECURE = process.env['HTTP2_TLS'] === '1';

interface Ends {
  /** The socket of the session. */
  readonly near: Duplex;
  /** Gets the frames of the test. */
  readonly far: Duplex;
}

/** What the session writes is dropped. */
function clearPair(): Ends {
  const near = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  return { near, far: near };
}

const pems = await selfSigned();

/** Both ends of TLS, in memory. */
function tlsPair(): Ends {
  const ends: Duplex[] = [0, 1].map(
    (i) =>
      new Duplex({
        read() {},
        write(chunk, _encoding, done) {
          ends[1 - i]!.push(chunk);
          done();
        },
      }),
  );
  const far = new TLSSocket(ends[0]!, {
    isServer: true,
    secureContext: createSecureContext(pems),
    ALPNProtocols: ['h2'],
  });
  far.on('error', () => {});
  const near = connectTls({
    socket: ends[1]!,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  });
  near.on('error', () => {});
  return { near, far };
}

/**
 * A session whose server is the test. Frames reach the stream within `push`, unless a write of the
 * session is pending: Node reads one DATA frame then, and continues after the write.
 */
class MemorySession {
  readonly #session: ClientHttp2Session;
  readonly #socket: Duplex;

  /** Frames for TLS, and the stream whose request comes before each. */
  readonly #waiting: { readonly frame: Buffer; readonly request: number }[] = [];
  #written: Buffer = Buffer.alloc(0);
  #lastRequest = 0;
  #streams = 0;
  #pings = 0;
  /** The number of the last PING that was read. */
  #arrived = 0;

  constructor() {
    const { near, far } = IS_SECURE ? tlsPair() : clearPair();
    this.#socket = far;
    if (IS_SECURE) {
      far.once('data', (first: Buffer) => {
        this.#take(first.subarray(PREFACE));
        far.on('data', (chunk: Buffer) => this.#take(chunk));
      });
    }
    this.#session = connect('http://localhost', {
      createConnection: () => near,
      settings: { enablePush: false, initialWindowSize: MOST, maxFrameSize: 2 ** 24 - 1 },
    });
    this.push('SETTINGS', 0, 0, SETTINGS);
    this.push('SETTINGS', ACK, 0);
    this.push('WINDOW_UPDATE', 0, 0, hex('7fff0000'));
  }

  async start(): Promise<void> {
    this.#session.on('ping', (payload: Buffer) => {
      this.#arrived = Math.max(this.#arrived, payload.readUInt32BE());
    });
    await once(this.#session, 'remoteSettings');
    this.#session.setLocalWindowSize(MOST);
  }

  push(type: string, flags: number, stream: number, payload?: Uint8Array): void {
    const frame = frameBytes(type, flags, stream, payload);
    if (!IS_SECURE) return void this.#socket.push(frame);
    this.#waiting.push({ frame, request: type === 'HEADERS' ? stream : 0 });
    this.#sendWaiting();
  }

  /** Sends frames over TLS, up to an answer whose request has not arrived. */
  #sendWaiting(): void {
    while (this.#waiting.length > 0 && this.#waiting[0]!.request <= this.#lastRequest) {
      this.#socket.write(this.#waiting.shift()!.frame);
    }
  }

  /** Looks for requests in what the session writes. */
  #take(chunk: Buffer): void {
    this.#written = Buffer.concat([this.#written, chunk]);
    for (;;) {
      const size = this.#written.length < 9 ? Infinity : 9 + this.#written.readUIntBE(0, 3);
      if (this.#written.length < size) break;
      if (this.#written[3] === HEADERS) this.#lastRequest = this.#written.readUInt32BE(5);
      this.#written = this.#written.subarray(size);
    }
    this.#sendWaiting();
  }

  /** Waits until all frames before have been read. */
  async allRead(): Promise<void> {
    const ping = ++this.#pings;
    this.push('PING', 0, 0, Uint8Array.of(ping >>> 24, ping >>> 16, ping >>> 8, ping, 0, 0, 0, 0));
    while (this.#arrived < ping && !this.#session.destroyed) await turn();
  }

  get isUsedUp(): boolean {
    return this.#streams > MAX_STREAMS;
  }

  /** Its streams continue. */
  retire(): void {
    this.#session.close();
  }

  open(): ClientHttp2Stream {
    this.#streams++;
    const stream = this.#session.request(REQUEST, { endStream: false });
    // The request leaves when bytes arrive. An answer before it would be a fault.
    this.push('PING', 0, 0, new Uint8Array(8));
    this.push('HEADERS', END_HEADERS, stream.id!, STATUS_200);
    return stream;
  }
}

/** A {@link TestTransport} whose bytes come in DATA frames. What it sends is recorded and dropped. */
class StreamTestTransport extends TestTransport {
  readonly #session = session;
  readonly #stream: ClientHttp2Stream;
  readonly #near: Transport;
  /** Closed by the test, as a {@link TestTransport} is: without an error. */
  #broken = false;

  constructor() {
    super();
    this.#stream = this.#session.open();
    this.#near = http2Transport(this.#stream);
  }

  override start(sink: TransportSink): void {
    super.start(sink);
    this.#near.start({
      data: (chunk, end) => sink.data(chunk, end),
      drain() {},
      end: () => sink.end(),
      // It releases held writes, and calls the sink.
      close: (error) => super.break(this.#broken ? undefined : error),
    });
  }

  override write(chunk: Uint8Array, release?: () => void): boolean {
    this.#near.write(Uint8Array.from(chunk));
    return super.write(chunk, release);
  }

  override feed(bytes: Uint8Array | string): void {
    this.#push('DATA', 0, typeof bytes === 'string' ? hex(bytes) : bytes);
  }

  override feedEnd(): void {
    this.#push('DATA', END_STREAM);
  }

  override break(): void {
    this.#broken = true;
    this.#push('RST_STREAM', 0, CANCEL);
  }

  #push(type: string, flags: number, payload?: Uint8Array): void {
    if (!this.#stream.destroyed) this.#session.push(type, flags, this.#stream.id!, payload);
  }

  override pause(): void {
    super.pause();
    this.#near.pause();
  }

  override resume(): void {
    super.resume();
    this.#near.resume();
  }

  override end(): void {
    super.end();
    this.#near.end();
  }

  override destroy(error?: Error): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.destroyError = error;
    this.#near.destroy(error);
  }
}

let session = new MemorySession();
await session.start();
targets.transport = () => new StreamTestTransport();
if (IS_SECURE) targets.arrived = () => session.allRead();
// Streams and their buffers.
costs.allowance = 1024 * 1024;

// oxlint-disable-next-line typescript/unbound-method -- it is called with its platform
const { settle } = FakePlatform.prototype;
FakePlatform.prototype.settle = async function (this: FakePlatform): Promise<void> {
  await settle.call(this);
  await session.allRead();
  if (session.isUsedUp) {
    const used = session;
    session = new MemorySession();
    await session.start();
    used.retire();
  }
  for (let i = 0; i < TURNS; i++) await turn();
  await settle.call(this);
};
