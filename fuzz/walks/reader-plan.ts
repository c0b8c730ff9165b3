import { formatCloseMessage, type Role } from '@ws/codec';
import { naiveEncode, Random } from '@ws/tests';

/** What the code at this end does. */
export type Call =
  | 'read'
  | 'abort'
  | 'next'
  | 'next, next'
  | 'leave'
  | 'nextReader'
  | 'part'
  | 'bytes'
  | 'receive'
  | 'settle'
  | 'fail'
  | 'discard'
  | 'answer'
  | 'handler starts'
  | 'handler is done'
  | 'close'
  | 'close, discard'
  | 'terminate';

export interface ReaderStep {
  readonly name: string;
  /** Bytes of the peer. */
  readonly bytes?: Uint8Array;
  /** The peer ends its side, after the bytes. */
  readonly fin?: boolean;
  /** The transport closes. */
  readonly gone?: boolean;
  /** Called in the turn of the bytes. */
  readonly call?: Call | undefined;
  /** Time that passes after the step, in ms. */
  readonly ms?: number;
}

const STYLES: Readonly<Record<string, readonly Call[]>> = {
  none: ['answer'],
  pull: ['read', 'read', 'read', 'abort', 'answer'],
  loop: ['next', 'next', 'next, next', 'leave', 'answer'],
  receive: ['receive', 'settle', 'settle', 'settle', 'fail'],
  discard: ['discard'],
  pieces: ['nextReader', 'part', 'part', 'bytes', 'read'],
  mixed: [
    ...([
      'read',
      'read',
      'read',
      'abort',
      'answer',
      'nextReader',
      'part',
      'part',
      'bytes',
    ] as const),
    ...([
      'next',
      'next',
      'next',
      'leave',
      'receive',
      'settle',
      'settle',
      'settle',
      'fail',
    ] as const),
    'discard',
  ],
};

const STYLE_NAMES =
  'none pull pull pull loop loop loop receive receive receive discard pieces pieces mixed mixed mixed'.split(
    ' ',
  );

/** What the handler of `receive` does with a message. */
type HandlerKind =
  | 'returns'
  | 'waits'
  | 'waits, then answers'
  | 'throws at the second'
  | 'closes at the second'
  | 'starts and ends the handler of serve'
  | 'closes and waits';

const HANDLERS: readonly HandlerKind[] = [
  'returns',
  'waits',
  'waits',
  'waits, then answers',
  'throws at the second',
  'closes at the second',
  'starts and ends the handler of serve',
  'closes and waits',
];

/** A walk through the states of the reader of one connection. */
export interface ReaderPlan {
  readonly seed: number;
  readonly role: Role;
  readonly readAhead: number;
  readonly closeTimeout: number;
  readonly rate: { readonly perSecond: number; readonly burst: number } | undefined;
  readonly style: string;
  readonly handler: HandlerKind;
  /** An observer sees each message of the product, which then takes another way. */
  readonly isObserved: boolean;
  readonly steps: readonly ReaderStep[];
}

export function readerPlanOf(seed: number): ReaderPlan {
  const random = new Random(seed);
  const role = random.pick(['server', 'client'] as const);
  const style = random.pick(STYLE_NAMES);
  // More messages than fit into a turn: the loop continues in later turns.
  const isLong = random.once(40);
  const peer = new Peer(role, random);
  const steps: ReaderStep[] = random.once(3) ? [{ name: '', call: 'handler starts' }] : [];
  const count = 4 + random.below(12);
  let isDone = false;
  const call = (): Call => {
    const next = callOf(random, style);
    if (next !== 'handler is done') return next;
    // The handler settles once.
    if (isDone) return 'answer';
    isDone = true;
    return next;
  };
  while (steps.length < count) steps.push(...stepsOf(random, peer, call));
  if (isLong) steps.splice(random.below(steps.length), 0, peer.many(1200));
  if (random.once(3)) steps.push({ name: 'the transport closes', gone: true });
  for (let i = 0; i < 3; i++) steps.push({ name: 'time', ms: 210 });
  for (const last of ['settle', 'read', 'read', 'read'] as const)
    steps.push({ name: '', call: last });
  return {
    seed,
    role,
    readAhead: isLong ? 1_000_000 : random.pick([100, 100, 700, 1500, 100_000]),
    closeTimeout: 400,
    rate: random.once(8)
      ? { perSecond: random.pick([7, 19]), burst: random.pick([1, 2]) }
      : undefined,
    style,
    handler: random.pick(HANDLERS),
    isObserved: random.once(8),
    steps,
  };
}

function callOf(random: Random, style: string): Call {
  const kind = random.below(30);
  if (kind < 2) return 'handler starts';
  if (kind < 4) return 'handler is done';
  if (kind < 5) return 'close';
  if (kind < 6) return random.once(3) ? 'close, discard' : 'close';
  if (kind < 7 && random.once(4)) return 'terminate';
  return random.pick(STYLES[style]!);
}

function stepsOf(random: Random, peer: Peer, call: () => Call): ReaderStep[] {
  const kind = random.below(20);
  if (kind < 4) return [peer.next(1)];
  if (kind < 8) {
    const step = peer.next(2 + random.below(4));
    return [{ ...step, call: random.once(5) ? call() : undefined }];
  }
  if (kind < 10) {
    const { name, bytes } = peer.next(1 + random.below(3));
    const cut = 1 + random.below(bytes.length - 1);
    return [
      { name: `${name}, cut at ${cut}`, bytes: bytes.subarray(0, cut) },
      ...(random.once(2) ? [{ name: '', call: call() }] : []),
      { name: 'the rest', bytes: bytes.subarray(cut) },
    ];
  }
  if (kind < 17) return [{ name: '', call: call() }];
  if (kind < 18) return [{ name: 'time', ms: random.pick([30, 90, 150, 210, 450]) }];
  if (kind < 19 && random.once(2)) return [{ ...peer.next(1), fin: true }];
  return peer.hasClosed && random.once(3) ? [{ name: 'FIN', fin: true }] : [];
}

/** The frames of the peer. */
class Peer {
  hasClosed = false;
  readonly #role: Role;
  readonly #random: Random;
  #id = 0;
  #isInMessage = false;

  constructor(role: Role, random: Random) {
    this.#role = role;
    this.#random = random;
  }

  next(count: number): { readonly name: string; readonly bytes: Uint8Array } {
    const frames = Array.from({ length: count }, () => this.#frame());
    return {
      name: `> ${frames.map(({ name }) => name).join(' + ')}`,
      bytes: Buffer.concat(frames.map(({ bytes }) => bytes)),
    };
  }

  many(count: number): ReaderStep {
    const frames = Array.from({ length: count }, (_, i) => this.#encode(0x81, `n${i}`));
    return { name: `> ${count} messages`, bytes: Buffer.concat(frames) };
  }

  #frame(): { readonly name: string; readonly bytes: Uint8Array } {
    const id = ++this.#id;
    const random = this.#random;
    const ping = { name: `ping ${id}`, bytes: this.#encode(0x89, `p${id}`) };
    if (this.#isInMessage) {
      const kind = random.below(8);
      if (kind < 3) return { name: `part ${id}`, bytes: this.#encode(0x00, `c${id}`) };
      if (kind < 6) {
        this.#isInMessage = false;
        return { name: `last part ${id}`, bytes: this.#encode(0x80, `l${id}`) };
      }
      if (kind < 7) return ping;
    }
    const kind = random.below(20);
    if (kind >= 8 && kind < 10) {
      return { name: `large ${id}`, bytes: this.#encode(0x82, Buffer.alloc(300, 65 + (id % 26))) };
    }
    if (kind >= 10 && kind < 13) {
      this.#isInMessage = true;
      return { name: `first part ${id}`, bytes: this.#encode(0x01, `b${id}`) };
    }
    if (kind >= 13 && kind < 15) return ping;
    if (kind >= 15 && kind < 19) {
      this.hasClosed = true;
      const code = random.pick([3001, 1000, undefined]);
      const payload = code === undefined ? '' : formatCloseMessage(code);
      return { name: `close ${code ?? 'empty'}`, bytes: this.#encode(0x88, payload) };
    }
    if (kind === 19 && random.once(3)) {
      this.hasClosed = true;
      return { name: 'fault', bytes: this.#encode(0x83, '') };
    }
    return { name: `message ${id}`, bytes: this.#encode(0x81, `m${id}`) };
  }

  #encode(b0: number, payload: string | Uint8Array): Uint8Array {
    return naiveEncode(b0 & 15, typeof payload === 'string' ? Buffer.from(payload) : payload, {
      fin: b0 >= 0x80,
      ...(this.#role === 'server' && { mask: 0x01020304 }),
    });
  }
}
