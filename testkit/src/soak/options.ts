import { parseArgs } from 'node:util';
import { COMPRESSION_MODES, type CompressionMode, connectionsFor, type Plan } from './plan.ts';

/** What `pnpm soak` says of itself. */
export const usage: string = `usage: pnpm soak [--minutes <n>] [--connections <n>] [--seed <n>] [--tls] [--compression <mode>]

  --minutes      how long clients come and go, once all have come and gone; default: 10. On a slow machine more, until
                 all have been there for a while
  --connections  how many are there at a time, three of four calm; default: 10,000, or 0.4 x the limit of open files if
                 that is less
  --seed         of what each client does, to have it done once more; default: a new one, which is printed
  --tls          over TLS
  --compression  ${COMPRESSION_MODES.join(', ')}; default: mixed, which is a server of each kind
  --help         this text

A server, and in a process of their own its clients: ours, those of ws, and some that never read, stop in the middle, lie,
flood, reset. Every few seconds it says how many there are and what both processes take once garbage is collected. When all
have left it says what they have left behind, and ends with 0 when that is nothing, with 1 when it is something, with 2
when it was called wrongly.`;

function parse(args: readonly string[]): {
  readonly minutes: string;
  readonly connections?: string;
  readonly seed?: string;
  readonly tls: boolean;
  readonly compression: string;
  readonly help: boolean;
} {
  return parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '10' },
      connections: { type: 'string' },
      seed: { type: 'string' },
      tls: { type: 'boolean', default: false },
      compression: { type: 'string', default: 'mixed' },
      help: { type: 'boolean', default: false },
    },
  }).values;
}

/** A number from an option. */
function number(name: string, text: string, form: RegExp): number {
  if (!form.test(text)) throw new TypeError(`--${name}: not a number that it takes: ${text}`);
  return Number(text);
}

function isMode(text: string): text is CompressionMode {
  return (COMPRESSION_MODES as readonly string[]).includes(text);
}

/**
 * The plan that a command line asks for; undefined when it asks for help.
 *
 * @param files - The limit of open files.
 * @throws TypeError for what is no option, or no value of it.
 */
export function planOf(args: readonly string[], files: number): Plan | undefined {
  const { minutes, connections, seed, tls, compression, help } = parse(args);
  if (help) return undefined;
  if (!isMode(compression)) throw new TypeError(`--compression: there is no ${compression}`);
  const count = number(
    'connections',
    connections ?? String(connectionsFor(files)),
    /^[1-9]\d{0,5}$/,
  );
  if (count > 0.8 * files) {
    throw new TypeError(`--connections: more than the limit of open files, ${files}, has room for`);
  }
  return {
    connections: count,
    seconds: number('minutes', minutes, /^\d{1,4}(?:\.\d+)?$/) * 60,
    seed: number('seed', seed ?? String(Date.now() % 2 ** 31), /^\d{1,10}$/),
    secure: tls,
    compression,
  };
}
