// A flood of pings to a Conn, in a process of its own: what vitest makes of modules costs ten times what Node does. Prints
// what it came to as JSON; the number of pings is its argument.
import process from 'node:process';
import { threadTime } from '../../src/hostile/thread-time.ts';
import { turn } from '../../src/index.ts';
import { frame, readingVictim } from './victim.ts';

const CHUNK = 65_536;

/** What a flood came to. */
export interface Flooded {
  readonly pings: number;
  readonly answered: number;
  readonly state: string;
  /** Milliseconds of CPU time for a ping, and most of them for a chunk of 64 KiB. */
  readonly each: number;
  readonly turn: number;
}

async function flood(count: number): Promise<Flooded> {
  // The key is zero: the frames are the same once they were read.
  const ping = frame('server', 9, '', { key: 0 });
  const inChunk = Math.floor(CHUNK / ping.length);
  const chunk = Buffer.concat(Array.from({ length: inChunk }, () => ping));
  const { conn, end, host, transport } = await readingVictim('server');
  const flooded = { pings: 0, answered: 0, each: 0, turn: 0 };
  while (flooded.pings < count) {
    const before = threadTime();
    transport.sink!.data(chunk);
    await host.settle();
    const took = threadTime() - before;
    flooded.each += took;
    flooded.turn = Math.max(flooded.turn, took);
    flooded.pings += inChunk;
    // Empty pings, and pongs of two bytes.
    flooded.answered += transport.takeSent().length / 2;
    await turn();
  }
  const { state } = conn;
  await end();
  return { ...flooded, each: flooded.each / flooded.pings, state };
}

const count = Number(process.argv[2]);
await flood(count / 2);
console.log(JSON.stringify(await flood(count)));
