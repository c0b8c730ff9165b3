import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { whenOver } from './cleanups.ts';
import { selfSigned } from './self-signed.ts';

/** One frame of HTTP/2 (RFC 9113, section 4.1). */
export interface Http2Frame {
  readonly type: string;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

const TYPES = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
];
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const END_STREAM = 0x1;
const ACK = 0x1;
const END_HEADERS = 0x4;

/** The request of a WebSocket over HTTP/2 (RFC 8441, section 5.1). */
export const WEBSOCKET_REQUEST: Readonly<Record<string, string>> = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'http',
  ':path': '/',
  ':authority': 'localhost',
  'sec-websocket-version': '13',
};

/**
 * An end of an HTTP/2 session that sends any frames, also those that node:http2 never sends. It answers
 * SETTINGS and PING unless told otherwise, and gives no window back.
 */
export class Http2Peer {
  readonly socket: Socket;
  readonly frames: Http2Frame[] = [];
  /** Whether SETTINGS and PING are answered. */
  answers = true;
  ended = false;
  #buffer: Buffer = Buffer.alloc(0);
  #skip: number;
  readonly #waiting = new Set<() => void>();

  /** @param isServer - The other end begins with the preface of a client. */
  constructor(socket: Socket, isServer = false) {
    this.socket = socket;
    this.#skip = isServer ? PREFACE.length : 0;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('close', () => {
      this.ended = true;
      this.#wake();
    });
    if (!isServer) socket.write(PREFACE);
  }

  /** Sends a frame. */
  send(type: string, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): void {
    this.socket.write(frameBytes(type, flags, stream, payload));
  }

  /** @param settings - Identifiers with their values. */
  settings(settings: readonly (readonly [id: number, value: number])[] = []): void {
    const payload = Buffer.alloc(6 * settings.length);
    settings.forEach(([id, value], i) => {
      payload.writeUInt16BE(id, 6 * i);
      payload.writeUInt32BE(value, 6 * i + 2);
    });
    this.send('SETTINGS', 0, 0, payload);
  }

  /** Sends HEADERS in literals without indexing (RFC 7541, section 6.2.2). */
  headers(
    stream: number,
    fields: Readonly<Record<string, string>> | readonly (readonly [string, string])[],
    end = false,
  ): void {
    const payload = headerBlock(Array.isArray(fields) ? fields : Object.entries(fields));
    this.send('HEADERS', END_HEADERS | (end ? END_STREAM : 0), stream, payload);
  }

  data(stream: number, bytes: Uint8Array, end = false): void {
    this.send('DATA', end ? END_STREAM : 0, stream, bytes);
  }

  reset(stream: number, code: number): void {
    this.send('RST_STREAM', 0, stream, word(code));
  }

  /** Gives `bytes` of window to a stream, or to the session (0). */
  window(stream: number, bytes: number): void {
    this.send('WINDOW_UPDATE', 0, stream, word(bytes));
  }

  /** The frames of one stream, as text: `DATA 5`, `DATA 0 END`, `RST_STREAM 8`. */
  story(stream: number): string[] {
    return this.frames
      .filter((frame) => frame.stream === stream && frame.type !== 'WINDOW_UPDATE')
      .map(({ type, flags, payload }) => {
        if (type === 'RST_STREAM') return `RST_STREAM ${payload.readUInt32BE()}`;
        const end = type !== 'GOAWAY' && (flags & END_STREAM) !== 0 ? ' END' : '';
        if (type === 'DATA') return `DATA ${payload.length}${end}`;
        if (type === 'GOAWAY') return `GOAWAY ${payload.readUInt32BE(4)}`;
        return `${type}${end}`;
      });
  }

  /** The number of bytes in the DATA frames of a stream. Unlike {@link bytes}, it copies none. */
  dataLength(stream: number): number {
    let length = 0;
    for (const frame of this.frames) {
      if (frame.stream === stream && frame.type === 'DATA') length += frame.payload.length;
    }
    return length;
  }

  /** The bytes of all DATA frames of a stream. */
  bytes(stream: number): Buffer {
    const parts = this.frames.filter((frame) => frame.stream === stream && frame.type === 'DATA');
    return Buffer.concat(parts.map(({ payload }) => payload));
  }

  /**
   * The status in the first HEADERS of a stream. It reads what Node sends: an index of the static
   * table, or a literal with the name of index 8.
   */
  status(stream: number): number | undefined {
    const head = this.frames.find((one) => one.stream === stream && one.type === 'HEADERS');
    const [first = 0, ...rest] = head?.payload ?? [];
    if (first >= 0x88 && first <= 0x8e) return [200, 204, 206, 304, 400, 404, 500][first - 0x88];
    const length = rest[0];
    if (length === undefined) return undefined;
    const isHuffman = (length & 0x80) !== 0;
    const text = Buffer.from(rest.slice(1, 1 + (length & 0x7f)));
    return Number(isHuffman ? huffmanDigits(text) : text.toString());
  }

  /** Waits until `holds`, which is tested after each frame. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.ended) throw new Error(`the session has ended: ${this.story(0).join(', ')}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Waits for the end of the TCP connection. */
  async over(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  #take(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    if (this.#skip > 0) {
      if (this.#buffer.length < this.#skip) return;
      this.#buffer = this.#buffer.subarray(this.#skip);
      this.#skip = 0;
    }
    while (this.#buffer.length >= 9) {
      const length = this.#buffer.readUIntBE(0, 3);
      if (this.#buffer.length < 9 + length) break;
      const frame = {
        type: TYPES[this.#buffer[3]!] ?? 'unknown',
        flags: this.#buffer[4]!,
        stream: this.#buffer.readUInt32BE(5) & 0x7f_ff_ff_ff,
        payload: Buffer.from(this.#buffer.subarray(9, 9 + length)),
      };
      this.#buffer = this.#buffer.subarray(9 + length);
      this.frames.push(frame);
      this.#answer(frame);
    }
    this.#wake();
  }

  #answer({ type, flags, payload }: Http2Frame): void {
    if (!this.answers || (flags & ACK) !== 0) return;
    if (type === 'SETTINGS') this.send('SETTINGS', ACK, 0);
    if (type === 'PING') this.send('PING', ACK, 0, payload);
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

/** Connects to a port of 127.0.0.1, by TLS with `secure`, as a client that has sent its preface and SETTINGS. */
export async function http2Client(
  port: number,
  settings: readonly (readonly [number, number])[] = [],
  secure = false,
): Promise<Http2Peer> {
  const where = { port, host: '127.0.0.1' };
  const socket = secure
    ? connectTls({ ...where, ca: (await selfSigned()).cert, ALPNProtocols: ['h2'] })
    : connect(where);
  await once(socket, secure ? 'secureConnect' : 'connect');
  whenOver(() => void socket.destroy());
  const peer = new Http2Peer(socket);
  peer.settings(settings);
  return peer;
}

/** The bytes of a frame. */
export function frameBytes(
  type: string,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = TYPES.indexOf(type);
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Header fields as literals without indexing. */
export function headerBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]),
  );
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const { length } = bytes;
  if (length < 127) return Buffer.concat([Buffer.from([length]), bytes]);
  // RFC 7541, section 5.1.
  const prefix = [127];
  let rest = length - 127;
  for (; rest >= 128; rest >>>= 7) prefix.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...prefix, rest]), bytes]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Digits in Huffman code (RFC 7541, appendix B): 0 to 2 have 5 bits, 3 to 9 have 6. */
function huffmanDigits(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let text = '';
  for (let at = 0; at + 5 <= bits.length; ) {
    const short = Number.parseInt(bits.slice(at, at + 5), 2);
    const long = Number.parseInt(bits.slice(at, at + 6), 2);
    if (short <= 2) {
      text += short;
      at += 5;
    } else if (long >= 0x19 && long <= 0x1f && at + 6 <= bits.length) {
      text += long - 0x19 + 3;
      at += 6;
    } else break;
  }
  return text;
}
