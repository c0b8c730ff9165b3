import {
  type MessageBuffers,
  type SlabPool,
  sharedMessageBuffers,
  sharedSlabPool,
} from '@ws/codec';
import type { ConnSettings } from '@ws/conn';
import { nodeHost } from '@ws/node-io';
import { Random, turn } from '../../src/index.ts';
import { ACTS, type Act, ENDS, pickAct } from './acts.ts';
import { CANARY, CONNECTIONS } from './alphabet.ts';
import { MemoryWire, type Wire } from './memory-wire.ts';
import { READINGS, Subject, type SubjectOptions } from './subject.ts';

const SETTINGS: readonly ConnSettings[] = [
  {},
  { writeBufferSize: 1024, highWaterMark: 1 },
  { writeBufferSize: 16_384, readAhead: 1_000 },
];
const COMPRESSION = { threshold: 64, asyncDeflateThreshold: 30_000, sendHistory: 4096 };
/** A connection ends once in so many acts, and another takes its place. */
const LIFE = 30;

/** With so many hits there is no need to go on. */
const ENOUGH = 200;
/** Letters that nobody has just now. */
const SPARE = 2;
const NOTHING_YET = { frames: 0, bytes: 0, messages: 0, connections: 0, hits: 0 };

/** What was seen on all wires, and by all readers. */
export interface Seen {
  frames: number;
  bytes: number;
  messages: number;
  connections: number;
  hits: number;
  /** The first hits in words. */
  readonly found: string[];
  /** Every act that took place. */
  readonly acts: Set<Act>;
}

/** Leaves another's bytes in all memory that is lent again. */
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

/** How a connection of a {@link traffic} is made. */
export interface TrafficOptions {
  /** What it stands on. Default: a wire in memory. */
  readonly wire?: (() => Wire | Promise<Wire>) | undefined;
  /** Settings of all of them, which win. */
  readonly settings?: ConnSettings | undefined;
}

/**
 * Connections of both roles do all there is to do, at random, until `frames` have left; each sends and is sent nothing
 * but its own letters, and no letter is used again before another has used it.
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
    return new Subject(`#${seen.connections++}`, index, nodeHost, options, await wire());
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
      // Each is done once at least, whatever the weights.
      const act = random.once(LIFE)
        ? ENDS[ends++ % ENDS.length]!
        : (ACTS[acts++] ?? pickAct(ACTS, random));
      seen.acts.add(act);
      // What its connection refuses, being at its end.
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
