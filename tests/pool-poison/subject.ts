import { encodeFrame } from '@ws/codec';
import {
  BinaryMessage,
  Conn,
  type ConnSettings,
  type Platform,
  type Role,
  TextMessage,
} from '@ws/conn';
import { SHARED, TAKEOVER } from '../compression/support.ts';
import type { Random } from '../kit/index.ts';
import { type Alphabet, alphabetsOf } from './alphabet.ts';
import { MemoryWire, type Wire } from './memory-wire.ts';
import { DeliverySearch, WireSearch } from './search.ts';

const MASK = 0x1f2e3d4c;

export type Reading = 'echo' | 'receive' | 'messages' | 'streams';
export const READINGS: readonly Reading[] = ['echo', 'receive', 'messages', 'streams'];

export interface SubjectOptions {
  readonly role: Role;
  readonly reading: Reading;
  readonly settings?: ConnSettings;
  /** Context takeover of compression; undefined: no compression. */
  readonly takeover?: boolean | undefined;
}

/** A connection with a search on every sent and received byte. */
export class Subject {
  readonly conn: Conn;
  readonly role: Role;
  readonly sends: Alphabet;
  readonly reads: Alphabet;
  readonly search: WireSearch;
  readonly delivered: DeliverySearch;
  readonly wire: Wire;
  readonly compresses: boolean;
  readonly index: number;
  over = false;

  /** @param index - Index of its alphabets. */
  constructor(
    name: string,
    index: number,
    platform: Platform,
    options: SubjectOptions,
    wire: Wire = new MemoryWire(),
  ) {
    const { role, reading, settings, takeover } = options;
    const { sends, reads } = alphabetsOf(index);
    this.index = index;
    this.role = role;
    this.sends = sends;
    this.reads = reads;
    this.compresses = takeover !== undefined;
    this.search = new WireSearch(name, role, sends, reads, { takeover });
    this.delivered = new DeliverySearch(name, reads);
    this.wire = wire;
    wire.onBytes = (chunk) => this.search.take(chunk);
    this.conn = new Conn(wire.transport, {
      ...settings,
      role,
      platform,
      heartbeat: false,
      readLimit: 200_000,
      deflate: takeover === undefined ? undefined : takeover ? TAKEOVER : SHARED,
    });
    void this.conn.closed.then(() => {
      this.over = true;
    });
    void this.#read(reading).catch(() => {});
  }

  /** Delivers a frame of the peer. */
  feed(opcode: number, payload: Uint8Array, fin = true, rsv = 0): void {
    const maskKey = this.role === 'server' ? MASK : undefined;
    this.wire.feed(encodeFrame(opcode, payload, { fin, rsv, maskKey }));
  }

  /** Random data of the connection. */
  bytes(random: Random, size: number): Uint8Array {
    const at = random.below(this.sends.bytes.length - size);
    return this.sends.bytes.subarray(at, at + size);
  }

  text(random: Random, size: number): string {
    const at = random.below(this.sends.text.length - size);
    return this.sends.text.slice(at, at + size);
  }

  /** Random data of its peer. */
  given(random: Random, size: number): Uint8Array {
    const at = random.below(this.reads.bytes.length - size);
    return this.reads.bytes.subarray(at, at + size);
  }

  async #read(reading: Reading): Promise<void> {
    const { conn, delivered } = this;
    if (reading === 'receive' || reading === 'echo') {
      await conn.receive((message) => {
        delivered.take(message.borrow());
        if (reading === 'echo') return conn.writeMessage(message.type, message.borrow());
        return undefined;
      });
    } else if (reading === 'messages') {
      const kept: Uint8Array[] = [];
      for await (const message of conn) {
        delivered.take(message.data);
        kept.push(message.data);
        // Owned data stays unchanged.
        if (kept.length > 20) delivered.take(kept.shift()!);
      }
    } else {
      const into = new Uint8Array(3000);
      for (;;) {
        const reader = await conn.nextReader();
        let n: number;
        while ((n = await reader.read(into)) > 0) delivered.take(into.subarray(0, n));
      }
    }
  }
}

/** Text or binary, at random. */
export function typeOf(random: Random): typeof TextMessage | typeof BinaryMessage {
  return random.once(2) ? TextMessage : BinaryMessage;
}
