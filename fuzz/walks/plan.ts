import { formatCloseMessage, type Role } from '@ws/codec';
import { naiveEncode, Random } from '@ws/tests';

/** What one end does at a step of a walk. */
export type Step = {
  readonly name: string;
  /** Bytes of the peer. */
  readonly bytes?: Uint8Array;
  /** The peer ends its side, after the bytes. */
  readonly fin?: boolean;
  readonly act?:
    | { readonly kind: 'send'; readonly id: number }
    | { readonly kind: 'close'; readonly code: number; readonly reason: string }
    | { readonly kind: 'settle' | 'fail' | 'terminate' | 'block' | 'drain' };
};

/** What the handler of `receive` does with a message. */
type Mode = 'echo' | 'wait' | 'wait, then answer' | 'ignore' | 'throw at the second';

/** A walk through the states of one connection. */
export interface Plan {
  readonly seed: number;
  readonly role: Role;
  readonly mode: Mode;
  readonly steps: readonly Step[];
}

const MODES: readonly Mode[] = ['echo', 'wait', 'wait', 'wait, then answer', 'ignore'];

/** @param blocks - Whether the transport may take nothing for a while. */
export function planOf(seed: number, blocks: boolean): Plan {
  const random = new Random(seed);
  const role = random.once(2) ? 'server' : 'client';
  const mode = random.once(6) ? 'throw at the second' : random.pick(MODES);
  const frames = new Frames(role, random);
  const steps = Array.from({ length: 2 + random.below(8) }, () => stepsOf(random, frames, blocks));
  return { seed, role, mode, steps: steps.flat() };
}

function stepsOf(random: Random, frames: Frames, blocks: boolean): Step[] {
  const kind = random.below(blocks ? 24 : 20);
  if (kind < 8) return [frames.next()];
  if (kind < 11) {
    const parts = Array.from({ length: 2 + random.below(2) }, () => frames.next());
    const name = parts.map((part) => part.name).join(' + ');
    return [{ name, bytes: Buffer.concat(parts.map(({ bytes }) => bytes)) }];
  }
  if (kind < 12) {
    const { name, bytes } = frames.next();
    const cut = 1 + random.below(Math.max(1, bytes.length - 1));
    return [
      { name: `${name} cut`, bytes: bytes.subarray(0, cut) },
      { name: 'the rest', bytes: bytes.subarray(cut) },
    ];
  }
  if (kind < 14) return [{ name: 'send', act: { kind: 'send', id: frames.id() } }];
  if (kind < 15) {
    const act = {
      kind: 'close',
      code: random.pick([1000, 4000]),
      reason: random.pick(['', 'bye']),
    } as const;
    return [{ name: `close ${act.code}`, act }];
  }
  if (kind < 17) return [{ name: 'settle', act: { kind: 'settle' } }];
  if (kind < 18) return [{ name: 'fail', act: { kind: 'fail' } }];
  if (kind < 19) return [{ name: 'FIN', fin: true }];
  if (kind < 20) {
    if (random.once(3)) return [{ name: 'terminate', act: { kind: 'terminate' } }];
    const { name, bytes } = frames.next();
    return [{ name: `${name} + FIN`, bytes, fin: true }];
  }
  return [
    kind < 22
      ? { name: 'block', act: { kind: 'block' } }
      : { name: 'drain', act: { kind: 'drain' } },
  ];
}

/** Frames of the peer: mostly valid ones, in any order. */
class Frames {
  readonly #role: Role;
  readonly #random: Random;
  #id = 0;

  constructor(role: Role, random: Random) {
    this.#role = role;
    this.#random = random;
  }

  id(): number {
    return ++this.#id;
  }

  next(): { readonly name: string; readonly bytes: Uint8Array } {
    const id = this.id();
    const random = this.#random;
    switch (random.below(14)) {
      case 4:
        return { name: `large ${id}`, bytes: this.#frame(0x82, Buffer.alloc(300, id)) };
      case 5:
        return { name: 'first part', bytes: this.#frame(0x01, `p${id}`) };
      case 6:
        return { name: 'last part', bytes: this.#frame(0x80, `q${id}`) };
      case 7:
      case 8:
        return { name: `ping ${id}`, bytes: this.#frame(0x89, `ping ${id}`) };
      case 9:
        return { name: 'pong', bytes: this.#frame(0x8a, '') };
      case 10:
        return { name: 'close 3001', bytes: this.#frame(0x88, formatCloseMessage(3001)) };
      case 11:
        return { name: 'close 1000', bytes: this.#frame(0x88, formatCloseMessage(1000, 'bye')) };
      case 12:
        return { name: 'empty close', bytes: this.#frame(0x88, '') };
      case 13:
        return { name: `fault ${id}`, bytes: this.#fault() };
      default:
        return { name: `message ${id}`, bytes: this.#frame(0x81, `m${id}`) };
    }
  }

  #fault(): Uint8Array {
    return this.#random.pick([
      this.#frame(0x83, ''),
      this.#frame(0x88, Uint8Array.of(3)),
      this.#frame(0x88, Uint8Array.of(1005 >> 8, 1005 & 255)),
      this.#frame(0x81, Uint8Array.of(0xff)),
      this.#frame(0xc1, 'x'),
    ]);
  }

  #frame(b0: number, payload: string | Uint8Array): Uint8Array {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    return naiveEncode(b0 & 15, bytes, {
      fin: b0 >= 0x80,
      rsv: b0 & 0x70,
      ...(this.#role === 'server' && { mask: 0x01020304 }),
    });
  }
}
