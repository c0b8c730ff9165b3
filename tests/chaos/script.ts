import { Random } from '../kit/random.ts';
import { drawPlan, type FaultPlan, planText, QUIET } from './fault-plan.ts';

/** What carries the connections. Over HTTP/2 both ends are ours. */
export const OVER = ['tcp', 'tls', 'http2'] as const;
export type Over = (typeof OVER)[number];

/** The library of each end, and the compression. */
export interface Pairing {
  readonly client: 'own' | 'ws';
  /** `own-tight`: small buffers, so it rejects writes. */
  readonly server: 'own' | 'own-tight' | 'ws';
  readonly compression: false | 'shared' | 'takeover';
}

/** How an endpoint writes; `bulk` exceeds the buffers of the system. */
export type Writing = 'flood' | 'awaited' | 'mixed' | 'heavy' | 'bulk';

/** How an endpoint reads. `ws` has its event only. */
export type Reading = 'receive' | 'receive-async' | 'loop' | 'read' | 'reader' | 'any';

/** Behaviour of one endpoint. */
export interface Part {
  readonly messages: number;
  readonly writing: Writing;
  readonly reading: Reading;
  /** Reading pauses now and then. */
  readonly slow: boolean;
  /** Leaves early, after this many messages. */
  readonly leaves?: { readonly after: number; readonly how: 'close' | 'terminate' };
  /** Seed of its random numbers. */
  readonly seed: number;
}

/** A planned connection. */
export interface Script {
  readonly connection: number;
  readonly over: Over;
  readonly pairing: Pairing;
  readonly client: Part;
  readonly server: Part;
  /** The endpoint that closes after all messages. */
  readonly closer: 'client' | 'server' | 'both';
  readonly plan: FaultPlan;
}

const PAIRINGS: readonly Pairing[] = [
  { client: 'own', server: 'own', compression: false },
  { client: 'own', server: 'own', compression: false },
  { client: 'own', server: 'own-tight', compression: false },
  { client: 'own', server: 'own', compression: 'shared' },
  { client: 'own', server: 'own', compression: 'takeover' },
  { client: 'own', server: 'ws', compression: false },
  { client: 'own', server: 'ws', compression: false },
  { client: 'own', server: 'ws', compression: 'takeover' },
  { client: 'ws', server: 'own', compression: false },
  { client: 'ws', server: 'own', compression: false },
  { client: 'ws', server: 'own-tight', compression: false },
  { client: 'ws', server: 'own', compression: 'shared' },
  { client: 'ws', server: 'own', compression: 'takeover' },
];

const OURS = PAIRINGS.filter(({ client, server }) => client === 'own' && server !== 'ws');

const WRITINGS: readonly Writing[] = [
  ...(['flood', 'flood', 'flood', 'flood', 'flood', 'flood'] as const),
  ...(['awaited', 'awaited', 'mixed', 'mixed', 'heavy', 'heavy', 'bulk'] as const),
];
const READINGS: readonly Reading[] = ['receive', 'receive-async', 'loop', 'read', 'reader', 'any'];

/** Draws a connection, determined by seed and number. */
export function drawScript(seed: number, connection: number, over: Over = 'tcp'): Script {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(connection + 1, 0x85ebca6b));
  const pairing = random.pick(over === 'http2' ? OURS : PAIRINGS);
  const client = drawPart(random, pairing);
  const server = drawPart(random, pairing);
  const closer = random.pick(['client', 'server', 'both'] as const);
  const plan = drawPlan(random, volumeOf(client), volumeOf(server));
  return { connection, over, pairing, client, server, closer, plan };
}

/** Draws the behaviour of an endpoint: many small messages in flight, some large. */
function drawPart(random: Random, { compression }: Pairing): Part {
  const writing = random.pick(WRITINGS);
  const most = { flood: 2_000, awaited: 400, mixed: 120, heavy: 30, bulk: 90 }[writing];
  // Compressed messages take longer.
  const messages = random.below(compression === false ? most : Math.ceil(most / 4));
  const leaves = random.once(12);
  return {
    messages,
    writing,
    reading: random.pick(READINGS),
    slow: random.once(5),
    ...(leaves
      ? {
          leaves: {
            after: random.below(messages + 1),
            how: random.once(3) ? ('terminate' as const) : ('close' as const),
          },
        }
      : {}),
    seed: random.word(),
  };
}

/** Approximate bytes that the endpoint sends. */
function volumeOf({ messages, writing }: Part): number {
  const each = { flood: 60, awaited: 150, mixed: 2_500, heavy: 50_000, bulk: 100_000 }[writing];
  return 300 + messages * each;
}

export function drawSize(random: Random, writing: Writing): number {
  const among = random.below(64);
  if (among === 0) return 0;
  if (writing === 'heavy') return random.below(100_000);
  if (writing === 'bulk') return 80_000 + random.below(40_000);
  if (writing === 'mixed' && among < 4) return random.below(70_000);
  if (writing === 'flood') return 12 + random.below(70);
  return 12 + random.below(among < 8 ? 4_000 : 120);
}

/** The script in four lines. */
export function scriptText({ connection, pairing, client, server, closer, plan }: Script): string {
  const { compression } = pairing;
  return [
    `connection ${connection}: client ${pairing.client}, server ${pairing.server}, compression ${String(compression)}`,
    `  client: ${partText(client)}`,
    `  server: ${partText(server)}`,
    `  closed by ${closer}; proxy: ${plan === QUIET ? 'nothing' : planText(plan)}`,
  ].join('\n');
}

function partText({ messages, writing, reading, slow, leaves }: Part): string {
  const leaving = leaves === undefined ? '' : `, leaves after ${leaves.after} by ${leaves.how}`;
  return `${messages} messages, ${writing}, reads by ${reading}${slow ? ' slowly' : ''}${leaving}`;
}
