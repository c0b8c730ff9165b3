import fc from 'fast-check';
import type { SteppedTransportOptions } from '../kit/index.ts';

// Commands for two Conns and the transports between them.

/** 0 is the client, 1 the server. */
export type End = 0 | 1;

/** Actions that let the connection live. */
const LIVING = [
  'send',
  'prepared',
  'open',
  'write',
  'finish',
  'ping',
  'pong',
  'read',
  'stream',
  'part',
  'receive',
  'loop',
  'cancel',
  'step',
  'pass',
] as const;
/** Actions that end the connection, or its reads. */
const ENDING = [
  'abort',
  'close',
  'terminate',
  'break',
  'end',
  'deadline',
  'writeDeadline',
  'fail',
] as const;

export interface Command {
  readonly action: (typeof LIVING)[number] | (typeof ENDING)[number];
  readonly end: End;
  /** Bytes, steps or milliseconds, depending on the action. */
  readonly size: number;
  /** Whether the next command runs in the same turn, unless it reads. */
  readonly sameTurn: boolean;
}

/** Options of both Conns and their transports. */
export interface Setup {
  readonly transports: readonly [SteppedTransportOptions, SteppedTransportOptions];
  readonly compression: 'shared' | 'takeover' | false;
  readonly readAhead: number;
  readonly highWaterMark: number;
  readonly maxBufferedAmount: number | false;
  readonly writeBufferSize: number;
  /** Messages in a ms that each end reads; more wait. */
  readonly rate?: number | false;
  /** Interval of heartbeats in ms. No heartbeat times out: both ends answer. */
  readonly heartbeat: number | false;
}

const transport: fc.Arbitrary<SteppedTransportOptions> = fc.record({
  cuts: fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 65_536 })), {
    minLength: 1,
    maxLength: 4,
  }),
  stalls: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
  highWaterMark: fc.oneof(fc.nat(2_000), fc.constant(65_536)),
});

export const anySetup: fc.Arbitrary<Setup> = fc.record({
  transports: fc.tuple(transport, transport),
  compression: fc.constantFrom<Setup['compression']>(false, 'shared', 'takeover'),
  readAhead: fc.constantFrom(100, 5_000, 65_536),
  highWaterMark: fc.constantFrom(1_000, 65_536, 1_000_000),
  maxBufferedAmount: fc.constantFrom<number | false>(false, 300, 20_000),
  writeBufferSize: fc.constantFrom(10, 1_000, 4_096),
  rate: fc.constantFrom<number | false>(false, false, 2),
  heartbeat: fc.constantFrom<number | false>(false, 20, 500),
});

const end = fc.constantFrom<End>(0, 1);
const size = fc.oneof(fc.nat(200), fc.nat(70_000));
const sameTurn = fc.boolean();
const living = fc.record({ action: fc.constantFrom(...LIVING), end, size, sameTurn });
const ending = fc.record({ action: fc.constantFrom(...ENDING), end, size, sameTurn });

/** Few commands end the connection: those hide all later ones. */
export const anyCommands: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(living, { maxLength: 30 }),
    fc.array(ending, { maxLength: 2 }),
    fc.array(living, { maxLength: 6 }),
    fc.array(ending, { maxLength: 1 }),
  )
  .map((parts) => parts.flat());
