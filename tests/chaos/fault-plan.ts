import type { Random } from '../kit/random.ts';

/** A temporary disturbance of a direction from its byte `after` on; no byte is lost. */
export type Stretch =
  /** Sends this many bytes one at a time, each in its own write and turn. */
  | { readonly after: number; readonly kind: 'single'; readonly bytes: number }
  /** Stops for some ms; a long stop fills the buffers of the sender. */
  | { readonly after: number; readonly kind: 'delay'; readonly ms: number }
  /** Collects bytes for some ms and sends them in one write. */
  | { readonly after: number; readonly kind: 'gather'; readonly ms: number };

/**
 * How a connection ends after the last byte of a direction.
 *
 * - `fin`: FIN to both ends; their later bytes are dropped.
 * - `half-close`: FIN to the receiver; the other direction continues.
 * - `reset`, `reset-receiver`, `reset-sender`: RST to both, or RST to one and FIN to the other.
 * - `drop`: destroys both sockets with their buffers.
 */
export type Cut = 'fin' | 'half-close' | 'reset' | 'reset-receiver' | 'reset-sender' | 'drop';

/** Faults of one direction. */
export interface DirectionPlan {
  /** Sorted by `after`. */
  readonly stretches: readonly Stretch[];
  readonly end?: { readonly after: number; readonly cut: Cut };
}

/** Faults of one connection. */
export interface FaultPlan {
  readonly toServer: DirectionPlan;
  readonly toClient: DirectionPlan;
}

const CUTS: readonly Cut[] = [
  'fin',
  'half-close',
  'half-close',
  'reset',
  'reset-receiver',
  'reset-sender',
  'drop',
];

/** No faults. */
export const QUIET: FaultPlan = { toServer: { stretches: [] }, toClient: { stretches: [] } };

/** Draws the faults of a connection of about this many bytes each way; half of all have none. */
export function drawPlan(random: Random, bytesUp: number, bytesDown: number): FaultPlan {
  if (random.once(2)) return QUIET;
  const toServer = drawDirection(random, bytesUp);
  const toClient = drawDirection(random, bytesDown);
  // One cut per connection: the first one wins anyway.
  if (toServer.end !== undefined) return { toServer, toClient: { stretches: toClient.stretches } };
  return { toServer, toClient };
}

function drawDirection(random: Random, volume: number): DirectionPlan {
  const stretches = Array.from({ length: random.below(4) }, () => drawStretch(random, volume));
  stretches.sort((a, b) => a.after - b.after);
  if (random.below(3) > 0) return { stretches };
  return { stretches, end: { after: drawPlace(random, volume), cut: random.pick(CUTS) } };
}

/** Often within the handshake or the first frames. */
function drawPlace(random: Random, volume: number): number {
  const within = [0, 120, 300, 2_000];
  const near = within[random.below(within.length * 3)];
  return random.below((near ?? volume) + 1);
}

function drawStretch(random: Random, volume: number): Stretch {
  const after = drawPlace(random, volume);
  switch (random.below(5)) {
    case 0:
    case 1:
      return { after, kind: 'single', bytes: 1 + random.below(400) };
    case 2:
      return { after, kind: 'delay', ms: 1 + random.below(5) };
    case 3:
      return { after, kind: 'delay', ms: 20 + random.below(60) };
    default:
      return { after, kind: 'gather', ms: 2 + random.below(10) };
  }
}

export function planText({ toServer, toClient }: FaultPlan): string {
  return `to server: ${directionText(toServer)}; to client: ${directionText(toClient)}`;
}

function directionText({ stretches, end }: DirectionPlan): string {
  const parts = stretches.map((stretch) => {
    const { after, kind } = stretch;
    return `${kind} ${kind === 'single' ? `${stretch.bytes} bytes` : `${stretch.ms} ms`} at ${after}`;
  });
  if (end !== undefined) parts.push(`${end.cut} at ${end.after}`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}
