// `pnpm long raw`: what node:http refuses, a raw upgrade refuses.
import process from 'node:process';
import { parseArgs } from 'node:util';
import { compare } from './differential.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '10000000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
  },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];
console.log(`${cases} requests, seed ${seed}`);
for (const [pair, { count, bytes }] of await compare(cases, seed)) {
  console.log(`${count} times node:http and raw answered ${pair}, for example to ${bytes}`);
}
process.exit();
