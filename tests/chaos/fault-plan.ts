import type { Random } from '../random.ts';

/** Something that happens to a direction for a while, from its byte `after` on; nothing is lost. */
export type Stretch =
  /** So many bytes go one at a time, each in a write and a turn of its own. */
  | { readonly after: number; readonly kind: 'single'; readonly bytes: number }
  /** Nothing goes for some ms; a long one fills the buffers of the sender. */
  | { readonly after: number; readonly kind: 'delay'; readonly ms: number }
  /** What comes for some ms is gathered, and goes in one write. */
  | { readonly after: number; readonly kind: 'gather'; readonly ms: number };

/**
 * How a connection is cut when a direction has carried its last byte.
 *
 * - `fin`: both ends get a FIN, and what they still send is swallowed.
 * - `half-close`: the receiver gets a FIN; the other direction goes on.
 * - `reset`, `reset-receiver`, `reset-sender`: RST to both; to one, and a FIN to the other.
 * - `drop`: both sockets are closed at once, whatever waits in them.
 */
export type Cut = 'fin' | 'half-close' | 'reset' | 'reset-receiver' | 'reset-sender' | 'drop';

/** What the proxy does to one direction. */
export interface LanePlan {
  /** In the order of `after`. */
  readonly stretches: readonly Stretch[];
  readonly end?: { readonly after: number; readonly cut: Cut };
}

/** What the proxy does to one connection. */
export interface Plan {
  readonly toServer: LanePlan;
  readonly toClient: LanePlan;
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

/** A connection that is left alone. */
export const QUIET: Plan = { toServer: { stretches: [] }, toClient: { stretches: [] } };

/** Draws what is done to a connection that carries about so many bytes each way: nothing, as often as not. */
export function drawPlan(random: Random, bytesUp: number, bytesDown: number): Plan {
  if (random.once(2)) return QUIET;
  const toServer = drawLane(random, bytesUp);
  const toClient = drawLane(random, bytesDown);
  // Two that are cut are one that is cut first: more of them would only be shorter.
  if (toServer.end !== undefined) return { toServer, toClient: { stretches: toClient.stretches } };
  return { toServer, toClient };
}

function drawLane(random: Random, volume: number): LanePlan {
  const stretches = Array.from({ length: random.below(4) }, () => drawStretch(random, volume));
  stretches.sort((a, b) => a.after - b.after);
  if (random.below(3) > 0) return { stretches };
  return { stretches, end: { after: drawPlace(random, volume), cut: random.pick(CUTS) } };
}

/** Often in the handshake or in the first frames, else anywhere. */
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

/** The plan in a line. */
export function planText({ toServer, toClient }: Plan): string {
  return `to server: ${laneText(toServer)}; to client: ${laneText(toClient)}`;
}

function laneText({ stretches, end }: LanePlan): string {
  const parts = stretches.map((stretch) => {
    const { after, kind } = stretch;
    return `${kind} ${kind === 'single' ? `${stretch.bytes} bytes` : `${stretch.ms} ms`} at ${after}`;
  });
  if (end !== undefined) parts.push(`${end.cut} at ${end.after}`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}
