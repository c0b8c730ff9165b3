import { parseArgs } from 'node:util';
import {
  COMPRESSION_MODES,
  type CompressionMode,
  connectionsFor,
  openFiles,
  type Plan,
} from './plan.ts';
import { soak } from './soak.ts';
import { judge, tableOf } from './verdict.ts';

const usage = `usage: pnpm soak [--minutes <n>] [--connections <n>] [--seed <n>] [--tls] [--compression <mode>]

  --minutes      how long clients come and go, once all have come and gone; default: 10
  --connections  how many are there at a time; default: 10,000, or 0.4 x the limit of open files if that is less
  --seed         of what each client does, to have it done once more; default: a new one, which is printed
  --tls          over TLS
  --compression  ${COMPRESSION_MODES.join(', ')}; default: mixed, which is a server of each kind
  --help         this text

A server, and in a process of their own its clients: ours, those of ws, and some that never read, stop in the middle, lie,
flood, reset. Every few seconds it says how many there are and what both processes take once garbage is collected. When all
have left it says what they have left behind, and ends with 0 when that is nothing, with 1 when it is something, with 2
when it was called wrongly.`;

function refuse(why: string): never {
  console.error(`${why}\n\n${usage}`);
  process.exit(2);
}

function parse() {
  try {
    return parseArgs({
      options: {
        minutes: { type: 'string', default: '10' },
        connections: { type: 'string' },
        seed: { type: 'string' },
        tls: { type: 'boolean', default: false },
        compression: { type: 'string', default: 'mixed' },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

/** A number from an option, or the end of the process with the usage. */
function number(name: string, text: string, form: RegExp): number {
  return form.test(text) ? Number(text) : refuse(`--${name}: not a number that it takes: ${text}`);
}

function isMode(text: string): text is CompressionMode {
  return (COMPRESSION_MODES as readonly string[]).includes(text);
}

const { minutes, connections, seed, tls, compression, help } = parse();
if (help) console.log(usage);
else {
  if (!isMode(compression)) refuse(`--compression: there is no ${compression}`);
  const files = openFiles();
  const plan: Plan = {
    connections: number(
      'connections',
      connections ?? String(connectionsFor(files)),
      /^[1-9]\d{0,5}$/,
    ),
    seconds: number('minutes', minutes, /^\d{1,4}(?:\.\d+)?$/) * 60,
    seed: number('seed', seed ?? String(Date.now() % 2 ** 31), /^\d{1,10}$/),
    secure: tls,
    compression,
  };
  console.log(
    `seed ${plan.seed}, ${plan.connections} connections (limit of open files: ${files}), ` +
      `${minutes} min, ${tls ? 'TLS' : 'TCP'}, compression ${compression}`,
  );
  const observed = await soak(plan, (line) => console.log(line));
  const rows = judge(observed);
  const { opened, ended, messages } = observed.totals;
  console.log(`\n${opened} connections opened, ${ended} ended, ${messages} messages\n`);
  console.log(tableOf(rows));
  const failed = rows.filter(({ ok }) => !ok).length;
  console.log(
    `\n${failed === 0 ? 'nothing is left' : `${failed} of ${rows.length} bounds broken`}`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}
