// `pnpm long raw`: what node:http refuses, a raw upgrade refuses.
import process from 'node:process';
import { commandLine } from '@ws/tests/command-line';
import { compare } from './differential.ts';

/** Requests between two lines about progress. */
const REPORT_EVERY = 100_000;

const usage = `usage: pnpm long raw [--cases <n>] [--seed <n>]

  --cases  number of requests; default: 10,000,000
  --seed   repeats an earlier run; default: a new one, printed
  --help   this text

Exit code 0: a raw upgrade refuses what node:http refuses. 2: wrong usage.`;

const { number } = commandLine(usage, {
  cases: { type: 'string', default: '10000000' },
  seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
});
// A run without a request would succeed.
const [cases, seed] = [number('cases', 1), number('seed')];
console.log(`${cases} requests, seed ${seed}`);

// Most requests end with an error, and nothing reads its stack trace.
Error.stackTraceLimit = 0;
let nextReport = REPORT_EVERY;
const seen = await compare(cases, seed, (done) => {
  if (done < nextReport) return;
  nextReport += REPORT_EVERY;
  const perSecond = Math.round(done / process.uptime());
  console.log(`${done} of ${cases} requests, seed ${seed}, ${perSecond} a second`);
});
for (const [pair, { count, bytes }] of seen) {
  console.log(`${count} times node:http and raw answered ${pair}, for example to ${bytes}`);
}
process.exit();
