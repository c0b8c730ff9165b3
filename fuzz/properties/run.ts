import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startVitest } from 'vitest/node';

// Long runs of the properties: fresh inputs each time, for as long as you like. `pnpm test` runs the same properties briefly.

const properties = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => file.replace('.test.ts', ''));
const usage = `usage: pnpm fuzz:laws [property...] [--seconds <n> | --runs <n>] [--seed <n>]

  property    one or more of: ${properties.join(', ')}; default: all
  --seconds   how long each of its laws is tried; default: 10
  --runs      how many inputs each of its laws is tried with, however long that takes
  --seed      of an earlier run, to repeat it; default: a new one, which is printed`;

/** A whole number from an option, or the end of the process with the usage. */
function whole(name: string, text: string): number {
  if (/^-?\d{1,10}$/.test(text)) return Number(text);
  return refuse(`--${name}: not a whole number: ${text}`);
}

function refuse(why: string): never {
  console.error(`${why}\n\n${usage}`);
  process.exit(2);
}

interface Command {
  readonly chosen: string[];
  /** The knob of `check.ts` that is turned, and what to. */
  readonly knob: 'FUZZ_SECONDS' | 'FUZZ_RUNS';
  readonly value: number;
  readonly seed: number;
}

function parse(): Command {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        seconds: { type: 'string' },
        runs: { type: 'string' },
        seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const unknown = positionals.find((property) => !properties.includes(property));
    if (unknown !== undefined) refuse(`no such property: ${unknown}`);
    if (values.seconds !== undefined && values.runs !== undefined) {
      refuse('--seconds or --runs, not both');
    }
    const name = values.runs === undefined ? 'seconds' : 'runs';
    const value = whole(name, values[name] ?? '10');
    if (value < 1) refuse(`--${name}: at least 1`);
    const knob = name === 'runs' ? 'FUZZ_RUNS' : 'FUZZ_SECONDS';
    return { chosen: positionals, knob, value, seed: whole('seed', values.seed) };
  } catch (error) {
    return refuse((error as Error).message);
  }
}

const { chosen, knob, value, seed } = parse();
console.log(`seed ${seed}, ${value} ${knob === 'FUZZ_RUNS' ? 'runs' : 's'} for each law`);
process.env['FUZZ_SEED'] = String(seed);
process.env[knob] = String(value);

const root = fileURLToPath(new URL('../..', import.meta.url));
const files = (chosen.length > 0 ? chosen : properties).map((t) => `fuzz/properties/${t}.test.ts`);
// A law in the middle of a run answers nobody, and shrinking takes what it takes: no time limit.
const vitest = await startVitest('test', files, { root, watch: false, testTimeout: 0 });
await vitest.close();
