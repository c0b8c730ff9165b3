// The floor of a call: an encoded request, a decoded answer, one promise, and no checks.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { encodeFrame, FrameHeader } from '@ws/codec';
import { WebSocket } from 'ws';
import type { ObsEncoding } from '../load/obs-encodings.ts';

type Call = () => Promise<unknown>;

/** The calls of a connection. The server answers in the order of the requests. */
class Calls {
  readonly #encoding: ObsEncoding;
  readonly #send: (message: string | Uint8Array) => void;
  readonly #pending: ((data: unknown) => void)[] = [];
  #lastId = 0;

  constructor(encoding: ObsEncoding, send: (message: string | Uint8Array) => void) {
    this.#encoding = encoding;
    this.#send = send;
  }

  /** Sends Identify, and resolves with its answer. */
  identify(): Promise<unknown> {
    return this.#ask({ op: 1, d: { rpcVersion: 1 } });
  }

  readonly call: Call = () => {
    const requestId = String(++this.#lastId);
    return this.#ask({ op: 6, d: { requestType: 'GetSceneList', requestId } });
  };

  #ask(fields: unknown): Promise<unknown> {
    this.#send(this.#encoding.encode(fields));
    return new Promise((resolve) => this.#pending.push(resolve));
  }

  received(message: Uint8Array): void {
    const { op, d } = this.#encoding.decode(message) as {
      op: number;
      d: { responseData: unknown };
    };
    // Hello comes first and answers nothing.
    if (op !== 0) this.#pending.shift()!(d.responseData);
  }
}

/** Calls over `ws`. */
export async function overWs(url: string, encoding: ObsEncoding): Promise<Call> {
  const socket = new WebSocket(url, encoding.subprotocol);
  const calls = new Calls(encoding, (message) => socket.send(message));
  socket.on('message', (data: Buffer) => calls.received(data));
  await once(socket, 'open');
  await calls.identify();
  return calls.call;
}

/** Calls over a socket of `node:net`, whose chunks are cut at their frames. */
export async function overSocket(url: string, encoding: ObsEncoding): Promise<Call> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const calls = new Calls(encoding, (message) => {
    const isText = typeof message === 'string';
    const payload = isText ? Buffer.from(message) : message;
    socket.write(encodeFrame(isText ? 1 : 2, payload, { maskKey: 0x01020304 }));
  });
  const key = randomBytes(16).toString('base64');
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n` +
      `Sec-WebSocket-Protocol: ${encoding.subprotocol}\r\n\r\n`,
  );
  const header = new FrameHeader();
  let unread: Buffer = Buffer.alloc(0);
  let isOpen = false;
  socket.on('data', (chunk: Buffer) => {
    let bytes: Buffer = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
    if (!isOpen) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end >= 0) {
        isOpen = true;
        bytes = bytes.subarray(end + 4);
      }
    }
    let at = 0;
    while (isOpen) {
      const size = header.read(bytes, at, bytes.length);
      const end = at + size + header.length;
      if (size === 0 || end > bytes.length) break;
      calls.received(bytes.subarray(at + size, end));
      at = end;
    }
    unread = bytes.subarray(at);
  });
  await once(socket, 'data');
  await calls.identify();
  return calls.call;
}
