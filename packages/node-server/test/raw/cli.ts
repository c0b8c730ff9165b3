// `pnpm long raw`: what node:http refuses, a raw upgrade refuses.
import process from 'node:process';
import { parseArgs } from 'node:util';
import { compare } from './differential.ts';

/** Requests between two lines about progress. */
const REPORT_EVERY = 100_000;

function refuse(message: string): never {
  console.error(message);
  process.exit(2);
}

function parse() {
  try {
    const { values } = parseArgs({
      options: {
        cases: { type: 'string', default: '10000000' },
        seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
      },
    });
    return values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

const values = parse();
// A run without a request would succeed.
if (!/^[1-9]\d{0,11}$/.test(values.cases)) {
  refuse(`--cases: not a whole number above 0: ${values.cases}`);
}
if (!/^\d{1,10}$/.test(values.seed)) refuse(`--seed: not a whole number: ${values.seed}`);
const [cases, seed] = [Number(values.cases), Number(values.seed)];
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
