import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { redisVersion } from '../../src/harness/redis.ts';
import { commitOf } from '../../src/report/commit.ts';
import { type Measured, measure } from './measure.ts';
import { CONSTANTS, type ConstantName, type Measurement } from './model.ts';
import { MEASUREMENT, pageOfConstants, SCALE } from './page.ts';

export const CONSTANTS_HELP = `hub --constants: measures the constants of ${SCALE}

usage: pnpm bench hub --constants [--runs N] [--busy]

Opens 10,000 connections to one node, sends 20 messages to all, and 20,000 publications through a real
Redis to 20 subscribers; a second node tells 20,000 joins and leaves, and shows 9,000 members. Each constant
is the median of the runs (default: 3, each about a minute). It writes ${MEASUREMENT} and the tables of ${SCALE}. The
limit of open files (ulimit -n) must be above 10,100.

  --runs N  number of runs
  --busy    other programs run on the machine: the page says so
`;

/** Measures, and writes the file and the page. */
export async function constants(root: string, runs: number, busy: boolean): Promise<void> {
  const found: Measured[] = [];
  for (let run = 1; run <= runs; run++) {
    found.push(await measure());
    process.stderr.write(`run ${run} of ${runs}\n`);
  }
  const names = Object.keys(CONSTANTS) as ConstantName[];
  const median = (name: ConstantName): number => {
    const sorted = found.map((one) => one[name]!).toSorted((a, b) => a - b);
    return Number(sorted[Math.floor(sorted.length / 2)]!.toPrecision(3));
  };
  const measurement: Measurement = {
    made: {
      date: new Date().toISOString().slice(0, 'yyyy-mm-dd'.length),
      commit: commitOf(join(root, 'bench')) ?? 'unknown',
      node: process.versions.node,
    },
    machine: `${cpus().length} x ${cpus()[0]!.model}`,
    redis: redisVersion()!,
    runs,
    busy,
    values: Object.fromEntries(names.map((name) => [name, median(name)])),
  };
  writeFileSync(join(root, MEASUREMENT), `${JSON.stringify(measurement, undefined, 2)}\n`);
  writeFileSync(join(root, SCALE), pageOfConstants(root));
}
