import { encodeFrame } from '@ws/codec';
import {
  Conn,
  type ConnSettings,
  type Host,
  type Role,
  type Transport,
  type TransportSink,
} from '@ws/conn';
import { nodeHost } from '@ws/node-io';
import { turn } from '../../src/index.ts';

/** What one read of a socket gives at most. */
const CHUNK = 65_536;

/** A transport that costs nothing and keeps nothing: what is written is taken at once. */
export class FreeTransport implements Transport {
  readonly bufferedAmount = 0;
  /** Is shown each write. */
  onWrite: ((chunk: Uint8Array) => void) | undefined;
  /** Bytes of all writes. */
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

  /** Gives chunks away one after another, without a wait between them as long as the connection takes them. */
  async feed(...chunks: Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      while (this.paused) await turn();
      this.give(chunk);
    }
  }

  /** Gives a chunk away at once. */
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

/** A connection on such a transport, with no limit of size. */
export function wired(
  role: Role,
  settings: ConnSettings = {},
  host: Host = nodeHost,
): { conn: Conn; transport: FreeTransport } {
  const transport = new FreeTransport();
  const conn = new Conn(transport, { heartbeat: false, readLimit: false, ...settings, role, host });
  return { conn, transport };
}

/** A frame as the peer of `role` sends it. */
export function frameFor(role: Role, payload: Uint8Array, opcode = 2, fin = true): Uint8Array {
  return encodeFrame(opcode, payload, role === 'server' ? { fin, maskKey: 0x37fa213d } : { fin });
}

/** Bytes as the reads of a socket: each in memory of its own. */
export function reads(bytes: Uint8Array, size: number = CHUNK): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    chunks.push(new Uint8Array(bytes.subarray(at, at + size)));
  }
  return chunks;
}
