import { Child } from '../harness/child.ts';
import type { Contest, ContestResult, Running } from '../harness/runner.ts';
import { metricTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { environmentOf, NATIVE } from '../rivals/contenders.ts';
import type { StreamAnswers, StreamName } from '../rivals/stream-worker.ts';
import { type Environment, maskOf, type Scenario, startChild } from './scenario.ts';

const MIB = 1024 * 1024;
const CONTENDERS: readonly StreamName[] = ['ours', 'ours, 64 KiB frames', 'ws', NATIVE, 'raw1'];
/** Sizes of the message. */
const MIBS: readonly number[] = [256, 1024];

/** `ws-bench stream`. */
export const stream: Scenario = {
  name: 'stream',
  summary: 'one message of 1 GiB between two processes, next to ws streams and to TCP',
  help: `A client writes a message in pieces of 64 KiB and waits for backpressure. A server reads it. Each runs
in a fresh process: ours uses nextWriter and nextReader, ws uses createWebSocketStream, which makes a
message of each piece, and raw1 is a TCP socket that reads into one buffer. The client masks its bytes,
except over TCP. Every byte is compared with the expected one. A corked ws is missing: its pieces fill a
write alone. Bun is missing: it reads no message in pieces.
`,
  full: { processes: 3, rounds: 1, ms: 0, warmUpMs: 0 },
  minutes: 2,
  quick: { processes: 1, rounds: 1, ms: 0, warmUpMs: 0 },
  contests: (environment) => MIBS.map((mib) => streamContest(environment, mib)),
  tables,
};

function streamContest(environment: Environment, mib: number): Contest {
  const contest = `${mib} MiB`;
  const bytes = mib * MIB;
  return {
    name: contest,
    contenders: CONTENDERS,
    alone: true,
    once: true,
    async start(contender): Promise<Running> {
      const script = './stream-worker.js';
      const started = startChild<StreamAnswers>(script, contender, contest, environment);
      const { child: reader } = started;
      const name = started.name as StreamName;
      const env = environmentOf(name, false);
      const folder = name === contender ? undefined : environment.before;
      const writer = new Child<StreamAnswers>(script, environment.cores.load, { env, folder });
      const port = await reader.ask('listen', { name, bytes });
      return {
        mask: await maskOf(name, writer),
        async window() {
          const began = performance.now();
          const [read, written] = await Promise.all([
            reader.ask('read', undefined),
            writer.ask('write', { name, port, bytes }),
          ]);
          return {
            rate: bytes / 1000 / (performance.now() - began),
            us: (read.cpu + written.cpu) / (bytes / 1e6),
            reader: read.growth / MIB,
            writer: written.growth / MIB,
          };
        },
        end: () => Promise.all([reader.end(), writer.end()]),
      };
    },
  };
}

function tables(results: readonly ContestResult[]): Table[] {
  const shown = [
    ['rate', 'A stream', 'MB per second by the clock', 'More is better.'],
    ['us', 'CPU of a stream', 'µs of both processes for a MB', 'Less is better.'],
    [
      'reader',
      'Memory of the reader',
      'largest growth of resident memory, in MiB',
      'Less is better.',
    ],
    [
      'writer',
      'Memory of the writer',
      'largest growth of resident memory, in MiB',
      'Less is better.',
    ],
  ] as const;
  return shown.map(([metric, title, unit, note]) =>
    metricTable({ title, unit, note, results }, metric),
  );
}
