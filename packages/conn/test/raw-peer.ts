import type { Role } from '@ws/codec';
import { NaiveDecoder, type NaiveFrame, type NaiveFrameOptions, naiveEncode } from '@ws/testkit';
import { Conn } from '../src/conn.ts';
import type { Host } from '../src/host.ts';
import type { ConnSettings } from '../src/options.ts';
import { transportPair } from '../src/pair.ts';
import { portableHost } from '../src/portable-host.ts';
import type { Transport } from '../src/transport.ts';

/** The other end of a Conn's transport, with frames written and read by the naive codec. */
export class RawPeer {
  readonly transport: Transport;
  readonly frames: NaiveFrame[] = [];
  /** The transport's `write` calls as they arrived, one chunk each. */
  readonly chunks: Uint8Array[] = [];
  ended = false;
  closed = false;
  readonly #decoder: NaiveDecoder;
  readonly #masks: boolean;
  #waiting: (() => void)[] = [];

  constructor(transport: Transport, role: Role) {
    this.transport = transport;
    this.#masks = role === 'client';
    this.#decoder = new NaiveDecoder(role);
    transport.start({
      data: (chunk) => {
        this.chunks.push(chunk.slice());
        this.#decoder.push(chunk);
        this.frames.splice(0, Infinity, ...this.#decoder.frames);
        this.#wake();
      },
      drain: () => {},
      end: () => {
        this.ended = true;
        this.#wake();
      },
      close: () => {
        this.closed = true;
        this.#wake();
      },
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Bytes of one frame as this end sends it. */
  frame(
    opcode: number,
    payload: Uint8Array | string = '',
    options: NaiveFrameOptions = {},
  ): Uint8Array {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    return naiveEncode(opcode, bytes, { ...(this.#masks ? { mask: 0x11223344 } : {}), ...options });
  }

  send(opcode: number, payload: Uint8Array | string = '', options: NaiveFrameOptions = {}): void {
    this.write(this.frame(opcode, payload, options));
  }

  /** Sends bytes as one chunk. */
  write(...parts: Uint8Array[]): void {
    this.transport.write(Buffer.concat(parts));
  }

  close(code?: number, reason = ''): void {
    const payload = Buffer.alloc(code === undefined ? 0 : 2 + Buffer.byteLength(reason));
    if (code !== undefined) {
      payload.writeUInt16BE(code);
      payload.write(reason, 2);
    }
    this.send(8, payload);
  }

  async until(condition: (peer: this) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Waits until `count` frames have come, and shows them as `opcode payload`. */
  async sees(count: number): Promise<string[]> {
    await this.until(() => this.frames.length >= count);
    return this.frames.map(show);
  }

  /** Waits for the Conn's FIN and ends this side as well. */
  async finish(): Promise<void> {
    await this.until(() => this.ended);
    this.transport.end();
  }
}

export function show({ opcode, payload, fin }: NaiveFrame): string {
  if (opcode === 8) {
    if (payload.length === 0) return 'close';
    const bytes = Buffer.from(payload);
    return `close ${bytes.readUInt16BE(0)} ${bytes.toString('utf8', 2)}`.trim();
  }
  const name = ['cont', 'text', 'binary'][opcode] ?? (opcode === 9 ? 'ping' : 'pong');
  const text = payload.length > 64 ? `<${payload.length}>` : Buffer.from(payload).toString();
  return `${name}${fin ? '' : '...'} ${text}`.trim();
}

/** A Conn of `role` and the raw end that it talks to. */
export function rawPair(
  role: Role,
  settings: ConnSettings = {},
  host: Host = portableHost,
): { conn: Conn; peer: RawPeer; transport: Transport } {
  const [near, far] = transportPair(host);
  return {
    transport: near,
    conn: new Conn(near, { ...settings, role, host }),
    peer: new RawPeer(far, role === 'server' ? 'client' : 'server'),
  };
}

/** Runs what is ready: several turns of the event loop. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
