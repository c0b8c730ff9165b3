import type { Role } from '@ws/codec';
import { Random } from '@ws/tests';

const CALLS = [
  ...(['send', 'send', 'send', 'send, unencoded', 'send, large', 'prepared'] as const),
  ...([
    'signal',
    'signal',
    'abort',
    'writer',
    'writer',
    'queued writer',
    'unencoded writer',
  ] as const),
  ...(['write', 'write', 'write', 'write, long', 'end', 'end', 'end', 'give up'] as const),
  ...(['ping', 'pong', 'peer pings', 'peer pings'] as const),
  ...(['block', 'block', 'drain', 'drain', 'turn', 'turn', 'turn', 'turn'] as const),
] as const;

/** Calls that a walk makes at most once. */
const RARE_CALLS = [
  'many sends',
  'deadline',
  'close',
  'close',
  'peer closes',
  'fault',
  'the transport closes',
] as const;

/** What happens in a step: a call of this end, the peer, the transport or time. */
type WriterCall = (typeof CALLS)[number] | (typeof RARE_CALLS)[number] | 'time' | 'no deadline';

export interface WriterStep {
  readonly call: WriterCall;
  /** Which of several writers or signals: 0 is the newest. */
  readonly which: number;
}

/** A walk through the ways out of one connection. */
export interface WriterPlan {
  readonly seed: number;
  readonly role: Role;
  /** An extension encodes the messages that do not opt out. */
  readonly encodes: boolean;
  readonly highWaterMark: number;
  readonly maxBufferedAmount: number;
  readonly steps: readonly WriterStep[];
}

export function writerPlanOf(seed: number): WriterPlan {
  const random = new Random(seed);
  const role = random.pick(['server', 'client'] as const);
  const encodes = random.once(3);
  const highWaterMark = random.pick([1, 40, 65_536]);
  const maxBufferedAmount = random.pick([2_500, 16_777_216, 16_777_216]);
  const step = (call: WriterCall): WriterStep => ({ call, which: random.below(3) });
  const steps = Array.from({ length: 6 + random.below(26) }, () => step(random.pick(CALLS)));
  const insert = (call: WriterCall, from = 0): number => {
    const at = from + random.below(steps.length - from + 1);
    steps.splice(at, 0, step(call));
    return at;
  };
  for (let i = random.below(3); i > 0; i--) {
    const call = random.pick(RARE_CALLS);
    const at = insert(call);
    if (call !== 'deadline') continue;
    const after = insert('time', at + 1);
    if (random.once(2)) insert('no deadline', at + 1 + random.below(after - at));
  }
  return { seed, role, encodes, highWaterMark, maxBufferedAmount, steps };
}
