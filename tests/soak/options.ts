import { parseArgs } from 'node:util';

/** Compression of the servers: none, one mode, or one server per mode. */
const COMPRESSION_MODES = ['off', 'shared', 'takeover', 'mixed'] as const;
export type CompressionMode = (typeof COMPRESSION_MODES)[number];

/** What a soak does. */
export interface Plan {
  /** Open connections at a time, abusive ones included. */
  readonly connections: number;
  /** How long clients come and leave after the first wave. */
  readonly seconds: number;
  /** Of all random decisions. */
  readonly seed: number;
  /** Over TLS. */
  readonly secure: boolean;
  readonly compression: CompressionMode;
  /** The server gets one fault of each kind, to test the verdict. Default: false. */
  readonly faulty?: boolean;
}

/** A server to dial. */
export interface Address {
  readonly url: string;
  /** The server accepts permessage-deflate. */
  readonly compresses: boolean;
}

export const usage: string = `usage: pnpm long soak [options]

  --minutes      duration after the first wave; default: 10. A slow machine gets more, until all clients were
                 connected for a while
  --connections  open connections, three of four idle; default: 10,000, or 0.4 x the limit of open files
  --seed         repeats an earlier run; default: a new one, printed
  --tls          use TLS
  --compression  ${COMPRESSION_MODES.join(', ')}; default: mixed, one server of each
  --help         this text

Starts a server process and a client process: clients of this library, of ws, and abusive raw clients. Prints the number of
clients and the memory of both processes every few seconds. At the end all clients leave.
Exit code 0: nothing remains. 1: something remains. 2: wrong usage.`;

/** The limit of open files of this process and of its children. */
export function openFiles(): number {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | string } };
  };
  const limit = Number(userLimits?.open_files?.soft);
  return Number.isFinite(limit) ? limit : Infinity;
}

/** The connections that have to be open for a verdict: at any time some are being opened. */
export function nearlyAll({ connections }: Pick<Plan, 'connections'>): number {
  return Math.floor(connections * 0.9);
}

/**
 * Reads a command line; undefined for `--help`.
 *
 * @param files - The limit of open files.
 * @throws TypeError for an unknown option or a bad value.
 */
export function planOf(args: readonly string[], files: number): Plan | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '10' },
      connections: { type: 'string', default: String(Math.min(10_000, Math.floor(0.4 * files))) },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      tls: { type: 'boolean', default: false },
      compression: { type: 'string', default: 'mixed' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const number = (name: 'minutes' | 'connections' | 'seed', form: RegExp): number => {
    if (form.test(values[name])) return Number(values[name]);
    throw new TypeError(`--${name}: not a valid number: ${values[name]}`);
  };
  const compression = COMPRESSION_MODES.find((mode) => mode === values.compression);
  if (compression === undefined) {
    throw new TypeError(`--compression: unknown mode ${values.compression}`);
  }
  const connections = number('connections', /^[1-9]\d{0,5}$/);
  if (connections > 0.8 * files) {
    throw new TypeError(`--connections: too many for the limit of open files, ${files}`);
  }
  return {
    connections,
    seconds: number('minutes', /^\d{1,4}(?:\.\d+)?$/) * 60,
    seed: number('seed', /^\d{1,10}$/),
    secure: values.tls,
    compression,
  };
}
