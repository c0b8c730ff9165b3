import { encodeFrame } from '@ws/codec';
import {
  Conn,
  type ConnSettings,
  type Platform,
  type Role,
  type Transport,
  type TransportSink,
} from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { turn } from '../kit/index.ts';

/** Largest read of a socket. */
const CHUNK = 65_536;

/** A transport without cost: it accepts each write and keeps nothing. */
export class FreeTransport implements Transport {
  readonly bufferedAmount = 0;
  /** Called with each write. */
  onWrite: ((chunk: Uint8Array) => void) | undefined;
  bytes = 0;
  paused = false;
  #sink: TransportSink | undefined;

  start(sink: TransportSink): void {
    this.#sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    this.bytes += chunk.length;
    this.onWrite?.(chunk);
    release?.();
    return true;
  }

  /** Delivers chunks; waits only while the connection is paused. */
  async feed(...chunks: Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      while (this.paused) await turn();
      this.give(chunk);
    }
  }

  /** Delivers a chunk synchronously. */
  give(chunk: Uint8Array): void {
    this.#sink!.data(chunk);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(): void {}
  destroy(): void {
    this.#sink?.close();
  }
}

/** A connection on a free transport without a read limit. */
export function wired(
  role: Role,
  settings: ConnSettings = {},
  platform: Platform = nodePlatform,
): { conn: Conn; transport: FreeTransport } {
  const transport = new FreeTransport();
  const conn = new Conn(transport, {
    heartbeat: false,
    readLimit: false,
    ...settings,
    role,
    platform,
  });
  return { conn, transport };
}

/** A frame of the peer of `role`. */
export function frameFor(role: Role, payload: Uint8Array, opcode = 2, fin = true): Uint8Array {
  return encodeFrame(opcode, payload, role === 'server' ? { fin, maskKey: 0x37fa213d } : { fin });
}

/** Splits bytes into reads, each in new memory. */
export function reads(bytes: Uint8Array, size: number = CHUNK): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    chunks.push(new Uint8Array(bytes.subarray(at, at + size)));
  }
  return chunks;
}
