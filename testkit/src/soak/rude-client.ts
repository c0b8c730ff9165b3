import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { encodeFrame } from '@ws/codec';
import { reset } from './reset.ts';
import type { Scene } from './scene.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const PONG = encodeFrame(10, Buffer.alloc(0), { maskKey: 0x37fa213d });

/** What a request says. */
export interface Asked {
  readonly deflate?: boolean;
  readonly version?: string;
  readonly origin?: string;
}

/** The request of an upgrade. */
export function request(path: string, { deflate, version = '13', origin }: Asked = {}): string {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${KEY}`,
    `Sec-WebSocket-Version: ${version}`,
    ...(deflate === true ? ['Sec-WebSocket-Extensions: permessage-deflate'] : []),
    ...(origin === undefined ? [] : [`Origin: ${origin}`]),
    '\r\n',
  ].join('\r\n');
}

/** A client that knows bytes, over TCP or TLS, and no manners. What it hears is forgotten. */
export class RudeClient {
  readonly #stream: Socket;
  readonly #tcp: Socket;
  readonly closed: Promise<void>;

  constructor(stream: Socket, tcp: Socket) {
    this.#stream = stream;
    this.#tcp = tcp;
    for (const socket of [stream, tcp]) socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      tcp.once('close', () => {
        stream.destroy();
        resolve();
      });
    });
    stream.once('close', () => tcp.destroy());
    stream.on('data', () => {});
  }

  /** Shakes hands; gives the status of the answer, 0 when there is none. */
  async upgrade(path: string, asked?: Asked): Promise<number> {
    const answer = once(this.#stream, 'data') as Promise<[Buffer]>;
    answer.catch(() => {});
    this.bytes(request(path, asked));
    const head = await Promise.race([answer, this.closed]);
    return head === undefined ? 0 : Number(head[0].toString('latin1', 9, 12));
  }

  /** From now on answers each ping: with a pong of nothing, since the server counts any byte as a sign of life. */
  answerPings(): void {
    this.#stream.on('data', ([first]: Buffer) => {
      if (first === 0x89 && this.#stream.writable) this.bytes(PONG);
    });
  }

  bytes(bytes: Uint8Array | string): void {
    this.#stream.write(bytes);
  }

  frame(opcode: number, payload: Uint8Array | string = '', fin = true, rsv = 0): void {
    this.bytes(
      encodeFrame(opcode, Buffer.from(payload as string), { fin, rsv, maskKey: 0x37fa213d }),
    );
  }

  /** Reads nothing any more. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
  }

  /** Sends a RST; under TLS in the next turn, since Node crashes when TCP goes within a call from TLS. */
  reset(): void {
    if (this.#stream === this.#tcp) reset(this.#tcp);
    else setImmediate(() => reset(this.#tcp, this.#stream));
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

/** Connects, and says nothing. */
export async function rudeClient(scene: Scene, url: string): Promise<RudeClient> {
  const tcp = connect({ port: Number(new URL(url).port), host: '127.0.0.1', noDelay: true });
  await once(tcp, 'connect');
  tcp.once('close', scene.enter());
  const { ca } = scene;
  if (ca === undefined) return new RudeClient(tcp, tcp);
  const stream = connectTls({ socket: tcp, ca });
  const client = new RudeClient(stream, tcp);
  await once(stream, 'secureConnect');
  return client;
}
