// Floods a connection with pings, in its own process: modules in vitest cost ten times as much as
// in Node. The argument is the number of pings. Prints the result as JSON.
import process from 'node:process';
import { turn } from '../kit/index.ts';
import { threadTime } from './harness/thread-time.ts';
import { frame, readingTargetConn } from './target-conn.ts';

const CHUNK = 65_536;

export interface Flooded {
  readonly pings: number;
  readonly answered: number;
  readonly state: string;
  /** CPU time of one ping. */
  readonly msEach: number;
}

async function flood(count: number): Promise<Flooded> {
  // With a key of zero, reading does not change the frames.
  const ping = frame('server', 9, '', { key: 0 });
  const inChunk = Math.floor(CHUNK / ping.length);
  const chunk = Buffer.concat(Array.from({ length: inChunk }, () => ping));
  const { conn, end, platform, transport } = await readingTargetConn('server');
  const flooded = { pings: 0, answered: 0, msEach: 0 };
  while (flooded.pings < count) {
    const before = threadTime();
    transport.sink!.data(chunk);
    await platform.settle();
    flooded.msEach += threadTime() - before;
    flooded.pings += inChunk;
    // Pings are empty, so pongs have two bytes.
    flooded.answered += transport.takeSent().length / 2;
    await turn();
  }
  const { state } = conn;
  await end();
  return { ...flooded, msEach: flooded.msEach / flooded.pings, state };
}

const count = Number(process.argv[2]);
await flood(count / 2);
console.log(JSON.stringify(await flood(count)));
