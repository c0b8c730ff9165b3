import {
  type MessageBuffers,
  type SlabPool,
  sharedMessageBuffers,
  sharedSlabPool,
} from '@ws/codec';
import type { ConnSettings } from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { Random, turn } from '../kit/index.ts';
import { ACTS, type Act, ENDS, pickAct } from './acts.ts';
import { CANARY, CONNECTIONS } from './alphabet.ts';
import { MemoryWire, type Wire } from './memory-wire.ts';
import { READINGS, Subject, type SubjectOptions } from './subject.ts';

const SETTINGS: readonly ConnSettings[] = [
  {},
  { writeBufferSize: 1024, highWaterMark: 1 },
  { writeBufferSize: 16_384, readAhead: 1_000 },
];
const COMPRESSION = { threshold: 64, maxBytes: 30_000 };
/** One of so many actions ends the connection, and a new one replaces it. */
const LIFE = 30;

/** Stops after this many hits. */
const ENOUGH = 200;
/** Free alphabets. */
const SPARE = 2;
const NOTHING_YET = { frames: 0, bytes: 0, messages: 0, connections: 0, hits: 0 };

/** Results of all wires and readers. */
export interface Seen {
  frames: number;
  bytes: number;
  messages: number;
  connections: number;
  hits: number;
  /** The first hits as text. */
  readonly found: string[];
  /** The executed actions. */
  readonly acts: Set<Act>;
}

/** Fills all free pool memory with the poison byte. */
export function fillPools(
  slabs: SlabPool = sharedSlabPool(),
  buffers: MessageBuffers = sharedMessageBuffers(),
): void {
  const lent = [1, 5_000, 50_000].flatMap((size) =>
    Array.from({ length: 12 }, () => slabs.take(size)),
  );
  const larger = [1, 5_000, 100_000, 1_000_000, 3_000_000].flatMap((size) =>
    Array.from({ length: 3 }, () => buffers.take(size)),
  );
  for (const { bytes } of lent) bytes.fill(CANARY);
  for (const bytes of larger) bytes.fill(CANARY);
  for (const { release } of lent) release();
  for (const bytes of larger) buffers.give(bytes);
}

export interface TrafficOptions {
  /** Default: wires in memory. */
  readonly wire?: (() => Wire | Promise<Wire>) | undefined;
  /** Settings of all connections; they override random ones. */
  readonly settings?: ConnSettings | undefined;
}

/**
 * Connections of both roles run random actions until `frames` frames were sent. Each uses its own
 * alphabets; a freed alphabet is reused last.
 */
export async function traffic(
  frames: number,
  seed: number,
  { wire = () => new MemoryWire(), settings = {} }: TrafficOptions = {},
): Promise<Seen> {
  const random = new Random(seed);
  const seen: Seen = { ...NOTHING_YET, found: [], acts: new Set() };
  const letters = Array.from({ length: CONNECTIONS }, (_, index) => index);
  const fresh = async (): Promise<Subject> => {
    const index = letters.shift()!;
    const options = optionsOf(random, settings);
    return new Subject(`#${seen.connections++}`, index, nodePlatform, options, await wire());
  };
  const all: Subject[] = [];
  while (letters.length > SPARE) all.push(await fresh());
  const sum = (of: (subject: Subject) => number): number =>
    all.reduce((total, subject) => total + of(subject), 0);
  const goesOn = (): boolean =>
    seen.frames + sum(({ search }) => search.frames) < frames &&
    seen.hits + sum(({ search, delivered }) => search.hits + delivered.hits) < ENOUGH;
  let acts = 0;
  let ends = 0;
  for (let round = 0; goesOn(); round++) {
    if (round % 50 === 0) fillPools();
    for (const [index, subject] of all.entries()) {
      if (subject.over) {
        count(seen, subject);
        letters.push(subject.index);
        all[index] = await fresh();
        continue;
      }
      if (subject.search.lost) subject.conn.terminate();
      // Every action runs at least once.
      const act = random.once(LIFE)
        ? ENDS[ends++ % ENDS.length]!
        : (ACTS[acts++] ?? pickAct(ACTS, random));
      seen.acts.add(act);
      // A closing connection rejects actions.
      void Promise.resolve(act.run(subject, random, all)).catch(() => {});
    }
    await turn();
    for (const subject of all) subject.wire.leave();
    await turn();
  }
  for (const { conn } of all) conn.terminate();
  await Promise.all(all.map(({ conn }) => conn.closed));
  for (const subject of all) count(seen, subject);
  return seen;
}

function optionsOf(random: Random, all: ConnSettings): SubjectOptions {
  const settings = { ...random.pick(SETTINGS), ...all };
  const takeover = random.pick([undefined, undefined, true, false]);
  return {
    role: random.pick(['server', 'client'] as const),
    reading: random.pick(READINGS),
    settings:
      takeover === undefined
        ? settings
        : { ...settings, compression: { ...COMPRESSION, mode: takeover ? 'takeover' : 'shared' } },
    takeover,
  };
}

function count(seen: Seen, { search, delivered }: Subject): void {
  seen.frames += search.frames;
  seen.bytes += search.bytes;
  seen.messages += delivered.messages;
  seen.hits += search.hits + delivered.hits;
  seen.found.push(...search.found, ...delivered.found);
}
