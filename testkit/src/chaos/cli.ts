import process from 'node:process';
import { parseArgs } from 'node:util';
import { chaos, type Tally } from './run.ts';
import { drawScript, scriptText } from './script.ts';

// Long runs: other connections each time, for as long as you like. `pnpm test` runs a million messages of one seed.

const usage = `usage: pnpm chaos [--messages <n> | --minutes <n>] [--seed <n>]
       pnpm chaos --seed <n> --connection <n> [--times <n>]

  --messages    how many have to arrive; default: 1e7
  --minutes     for how long, in place of that
  --seed        of an earlier run, to repeat it; default: a new one, which is printed
  --connection  this one alone of those that the seed gives, again and again
  --times       how often; default: 200
  --help        this text

It ends with 0 when the law was kept, with 1 when it was broken, with 2 when it was called wrongly.`;

function refuse(why: string): never {
  console.error(`${why}\n\n${usage}`);
  process.exit(2);
}

function parse() {
  try {
    const { values } = parseArgs({
      options: {
        messages: { type: 'string' },
        minutes: { type: 'string' },
        seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
        connection: { type: 'string' },
        times: { type: 'string', default: '200' },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

/** `1e8` is a number too; only minutes come in parts. */
function number(name: string, given: string): number {
  const value = Number(given);
  const whole = name === 'minutes' || Number.isSafeInteger(value);
  if (given.trim() !== '' && value >= 0 && value < Infinity && whole) return value;
  return refuse(`--${name}: not a number that it takes: ${given}`);
}

function progress(seconds: number, { heard, connections, cut, lost, refused }: Tally): string {
  const speed = Math.round(heard / seconds);
  return `${heard} messages, ${speed}/s, ${connections} connections, ${cut} cut, ${lost} lost and ${refused} refused`;
}

const { help, messages, minutes, connection, ...given } = parse();
if (help) {
  console.log(usage);
  process.exit(0);
}
const seed = number('seed', given.seed);
const only = connection === undefined ? undefined : number('connection', connection);
const times = number('times', given.times);
console.log(`seed ${seed}`);

const started = performance.now();
const seconds = (): number => (performance.now() - started) / 1000;
const until = minutes === undefined ? undefined : number('minutes', minutes) * 60;
const tally = await chaos({
  seed,
  messages: until === undefined ? number('messages', messages ?? '1e7') : Infinity,
  until: () => until !== undefined && seconds() >= until,
  onRound: (tally) => console.log(progress(seconds(), tally)),
  ...(only === undefined
    ? {}
    : {
        scripts: Array.from({ length: times }, (_, i) => {
          return { ...drawScript(seed, only), connection: i };
        }),
      }),
});
if (only !== undefined) console.log(scriptText(drawScript(seed, only)));
for (const finding of tally.findings) console.log(`\n${finding}`);
if (tally.findings.length > 0) {
  console.log(`\nagain: pnpm chaos --seed ${seed} --messages ${tally.heard}`);
  console.log(`one connection: pnpm chaos --seed ${seed} --connection <its number>`);
}
// What hangs would keep the process.
process.exit(tally.findings.length > 0 ? 1 : 0);
