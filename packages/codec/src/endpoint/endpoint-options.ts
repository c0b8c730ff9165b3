import type { Role } from '../frames/opcode.ts';
import { bound, checkOptionNames, kind } from '../options.ts';

/** Options of `Endpoint`. `false` switches a bound off; 0 does not. */
export interface EndpointOptions {
  /** The end of the connection. A client masks its frames (RFC 6455, section 5.1). */
  role: Role;
  /**
   * Longest message that is accepted, in bytes. A longer one fails with close code 1009. Default 1
   * MiB for a server, 16 MiB for a client.
   */
  readLimit?: number | false;
  /**
   * Most empty fragments in a row: they need no memory, but each costs time. More fail with close
   * code 1008. Default 1024.
   */
  maxEmptyFragments?: number | false;
  /**
   * Most bytes of output that wait for `output()`, beyond one message. Default 16 MiB.
   */
  maxBufferedAmount?: number | false;
  /** Whether the newest unanswered ping is answered with a pong. Default true. */
  autoPong?: boolean;
  /**
   * Fills `words` with random bits for masking keys. They must be unpredictable (RFC 6455, section
   * 10.3). Default: the platform's `crypto.getRandomValues`.
   */
  random?: (words: Int32Array) => void;
}

const NAMES: readonly (keyof EndpointOptions)[] = [
  'role',
  'readLimit',
  'maxEmptyFragments',
  'maxBufferedAmount',
  'autoPong',
  'random',
];

/** The options of an endpoint, with their defaults. */
export interface EndpointSettings {
  readonly role: Role;
  readonly readLimit: number;
  readonly maxEmptyFragments: number;
  readonly maxBufferedAmount: number;
  readonly autoPong: boolean;
  readonly random: ((words: Int32Array) => void) | undefined;
}

const MIB = 1_048_576;

/** @throws TypeError or RangeError that names the invalid or unknown option. */
export function endpointSettings(options: EndpointOptions): EndpointSettings {
  checkOptionNames('Endpoint', options, NAMES);
  const { role, autoPong = true, random } = options;
  if (role !== 'client' && role !== 'server') {
    throw new TypeError(`role: expected 'client' or 'server', got ${String(role)}`);
  }
  if (typeof autoPong !== 'boolean') {
    throw new TypeError(`autoPong: expected true or false, got ${kind(autoPong)}`);
  }
  if (random !== undefined && typeof random !== 'function') {
    throw new TypeError(`random: expected a function, got ${kind(random)}`);
  }
  const { readLimit = role === 'server' ? MIB : 16 * MIB } = options;
  const { maxEmptyFragments = 1024, maxBufferedAmount = 16 * MIB } = options;
  return {
    role,
    readLimit: bound('readLimit', readLimit),
    maxEmptyFragments: bound('maxEmptyFragments', maxEmptyFragments),
    maxBufferedAmount: bound('maxBufferedAmount', maxBufferedAmount),
    autoPong,
    random,
  };
}
