import { Random } from '../random.ts';
import { drawPlan, type Plan, planText, QUIET } from './plan.ts';

/** Who meets whom: the client's make, the server's, and whether they compress. */
export interface Pairing {
  readonly client: 'ours' | 'ws';
  /** A server of ours with small buffers refuses what is too much. */
  readonly server: 'ours' | 'ours-tight' | 'ws';
  readonly compression: false | 'shared' | 'takeover';
}

/** How a side hands messages over; in bulk they are more than the system's buffers take. */
export type Writing = 'flood' | 'awaited' | 'mixed' | 'heavy' | 'bulk';

/** How a side takes messages. `ws` has its event only. */
export type Reading = 'receive' | 'receive-async' | 'loop' | 'read' | 'reader' | 'any';

/** What one side of a connection does. */
export interface Part {
  readonly messages: number;
  readonly writing: Writing;
  readonly reading: Reading;
  /** It stops for a moment now and then while it reads. */
  readonly slow: boolean;
  /** It leaves before it has said all, after so many messages, in this way. */
  readonly leaves?: { readonly after: number; readonly how: 'close' | 'terminate' };
  /** What its random numbers begin with. */
  readonly seed: number;
}

/** All that is known of a connection beforehand. */
export interface Script {
  readonly connection: number;
  readonly pairing: Pairing;
  readonly client: Part;
  readonly server: Part;
  /** Who closes when all is said and heard. */
  readonly closer: 'client' | 'server' | 'both';
  readonly plan: Plan;
}

const PAIRINGS: readonly Pairing[] = [
  { client: 'ours', server: 'ours', compression: false },
  { client: 'ours', server: 'ours', compression: false },
  { client: 'ours', server: 'ours-tight', compression: false },
  { client: 'ours', server: 'ours', compression: 'shared' },
  { client: 'ours', server: 'ours', compression: 'takeover' },
  { client: 'ours', server: 'ws', compression: false },
  { client: 'ours', server: 'ws', compression: false },
  { client: 'ours', server: 'ws', compression: 'takeover' },
  { client: 'ws', server: 'ours', compression: false },
  { client: 'ws', server: 'ours', compression: false },
  { client: 'ws', server: 'ours-tight', compression: false },
  { client: 'ws', server: 'ours', compression: 'shared' },
  { client: 'ws', server: 'ours', compression: 'takeover' },
];

const WRITINGS: readonly Writing[] = [
  ...(['flood', 'flood', 'flood', 'flood', 'flood', 'flood'] as const),
  ...(['awaited', 'awaited', 'mixed', 'mixed', 'heavy', 'heavy', 'bulk'] as const),
];
const READINGS: readonly Reading[] = ['receive', 'receive-async', 'loop', 'read', 'reader', 'any'];

/** Draws a connection; the same one for the same seed and number. */
export function drawScript(seed: number, connection: number): Script {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(connection + 1, 0x85ebca6b));
  const pairing = random.pick(PAIRINGS);
  const client = drawPart(random, pairing);
  const server = drawPart(random, pairing);
  const closer = random.pick(['client', 'server', 'both'] as const);
  const plan = drawPlan(random, volumeOf(client), volumeOf(server));
  return { connection, pairing, client, server, closer, plan };
}

/** Draws what a side does. Many small messages in flight, and some that are large. */
function drawPart(random: Random, { compression }: Pairing): Part {
  const writing = random.pick(WRITINGS);
  const most = { flood: 2_000, awaited: 400, mixed: 120, heavy: 30, bulk: 90 }[writing];
  // Where zlib's threads do the work, a message takes its time.
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

/** Bytes that such a side says, roughly. */
function volumeOf({ messages, writing }: Part): number {
  const each = { flood: 60, awaited: 150, mixed: 2_500, heavy: 50_000, bulk: 100_000 }[writing];
  return 300 + messages * each;
}

/** The size of the next message, in bytes. */
export function drawSize(random: Random, writing: Writing): number {
  const among = random.below(64);
  if (among === 0) return 0;
  if (writing === 'heavy') return random.below(100_000);
  if (writing === 'bulk') return 80_000 + random.below(40_000);
  if (writing === 'mixed' && among < 4) return random.below(70_000);
  if (writing === 'flood') return 12 + random.below(70);
  return 12 + random.below(among < 8 ? 4_000 : 120);
}

/** What is planned for a connection, in a few lines. */
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
