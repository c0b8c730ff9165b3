import type { DeflateParameters, Role } from '@ws/codec';
import type { BufferPool } from './buffer-pool.ts';
import {
  type Compression,
  type CompressionOptions,
  SHARED,
} from './deflate/compression-options.ts';
import type { Host } from './host.ts';

/** When to ask a silent peer whether it is still there, in milliseconds. */
export interface Heartbeat {
  /** After this much silence a ping is sent. */
  readonly interval: number;
  /** After this much more silence the connection ends with 1006 and a TimeoutError. */
  readonly timeout: number;
}

/** What a `Conn` can be told, each with its default. Where a type has `false`, it means no bound. */
export interface ConnSettings {
  /** The longest message accepted, in bytes of plain payload. Default: 1 MiB on a server, 16 MiB on a client. */
  readonly readLimit?: number | false | undefined;
  /** How many fragments without a byte may follow each other. Default: 1,024. */
  readonly maxEmptyFragments?: number | false | undefined;
  /** Bytes of messages that are kept while nobody reads, before the transport is paused. Default: 64 KiB. */
  readonly readAhead?: number | undefined;
  /** How long a connection may stand paused with nobody reading, in ms, before it ends with 1006. Default: 5 min. */
  readonly idleReadTimeout?: number | false | undefined;
  /** Writes wait once this many bytes are buffered. Default: 64 KiB. */
  readonly highWaterMark?: number | undefined;
  /** A write that would buffer more than this is refused with a BackpressureError. Default: 16 MiB. */
  readonly maxBufferedAmount?: number | false | undefined;
  /** How long the other end may take for its part of the closing handshake, in ms. Default: 5 s. */
  readonly closeTimeout?: number | undefined;
  /** Default: 20 s and 20 s on a server, `false` on a client. */
  readonly heartbeat?: false | Heartbeat | undefined;
  /** How many pings of `ping()` may be unanswered. Default: 64. */
  readonly maxPendingPings?: number | undefined;
  /** Bytes that a transport which reads into our memory is first offered. Default: 4,096. */
  readonly readBufferSize?: number | undefined;
  /** Bytes of payload in a fragment of `nextWriter`, and the first size of a write buffer. Default: 4,096. */
  readonly writeBufferSize?: number | undefined;
  /** Lends the write buffers, one for as long as something is written. Default: the process's own pool. */
  readonly writeBufferPool?: BufferPool | undefined;
  /** permessage-deflate (RFC 7692). `true`: {@link CompressionOptions} with their defaults. Default: false. */
  readonly compression?: boolean | 'shared' | 'takeover' | CompressionOptions | undefined;
}

/** What a `Conn` is made with. */
export interface ConnOptions extends ConnSettings {
  /** A client masks what it sends (RFC 6455, section 5.1). */
  readonly role: Role;
  /** What the platform lends. Default: {@link portableHost}. */
  readonly host?: Host | undefined;
  /** The subprotocol agreed on in the handshake. Default: `''`. */
  readonly subprotocol?: string | undefined;
  /** The extensions agreed on in the handshake, as the response named them. Default: `''`. */
  readonly extensions?: string | undefined;
  /** What both ends agreed on for permessage-deflate; without it nothing is compressed. */
  readonly deflate?: DeflateParameters | undefined;
}

/** {@link ConnSettings} with every default filled in; `Infinity` stands for no bound. */
export interface Settings {
  readonly readLimit: number;
  readonly maxEmptyFragments: number;
  readonly readAhead: number;
  readonly idleReadTimeout: number;
  readonly highWaterMark: number;
  readonly maxBufferedAmount: number;
  readonly closeTimeout: number;
  readonly heartbeat: false | Heartbeat;
  readonly maxPendingPings: number;
  readonly readBufferSize: number;
  readonly writeBufferSize: number;
  readonly writeBufferPool: BufferPool | undefined;
  readonly compression: Compression | false;
}

const KIB = 1024;
const MIB = 1024 * KIB;

const SERVER: Settings = {
  readLimit: MIB,
  maxEmptyFragments: 1024,
  readAhead: 64 * KIB,
  idleReadTimeout: 5 * 60_000,
  highWaterMark: 64 * KIB,
  maxBufferedAmount: 16 * MIB,
  closeTimeout: 5_000,
  heartbeat: { interval: 20_000, timeout: 20_000 },
  maxPendingPings: 64,
  readBufferSize: 4096,
  writeBufferSize: 4096,
  writeBufferPool: undefined,
  compression: false,
};

const DEFAULTS: { readonly [R in Role]: Settings } = {
  server: SERVER,
  client: { ...SERVER, readLimit: 16 * MIB, heartbeat: false },
};

/** The names of {@link ConnSettings}, for those who pass them through. */
export const connSettingNames: readonly (keyof ConnSettings)[] = Object.keys(
  SERVER,
) as (keyof ConnSettings)[];

/**
 * Checks the settings and fills in the defaults.
 *
 * @throws TypeError for a value of the wrong type, RangeError for a number out of its range; both name the option.
 */
export function resolveSettings(options: ConnSettings, role: Role): Settings {
  const defaults = DEFAULTS[role];
  const given = connSettingNames.some((name) => options[name] !== undefined);
  if (!given) return defaults;
  const resolve = <K extends keyof Settings>(
    name: K,
    check: (name: string, value: unknown) => Settings[K],
  ): Settings[K] => {
    const { [name]: value } = options;
    return value === undefined ? defaults[name] : check(name, value);
  };
  return shared(role, {
    readLimit: resolve('readLimit', bound),
    maxEmptyFragments: resolve('maxEmptyFragments', bound),
    readAhead: resolve('readAhead', whole),
    idleReadTimeout: resolve('idleReadTimeout', (name, value) => duration(name, value, 0, true)),
    highWaterMark: resolve('highWaterMark', whole),
    maxBufferedAmount: resolve('maxBufferedAmount', bound),
    closeTimeout: resolve('closeTimeout', (name, value) => duration(name, value, 0, false)),
    heartbeat: resolve('heartbeat', heartbeat),
    maxPendingPings: resolve('maxPendingPings', whole),
    readBufferSize: resolve('readBufferSize', whole),
    writeBufferSize: resolve('writeBufferSize', whole),
    writeBufferPool: resolve('writeBufferPool', bufferPool),
    compression: resolve('compression', compression),
  });
}

/** How many different settings are remembered for each role. */
const REMEMBERED = 8;
type Remembered = { readonly [R in Role]: Settings[] };
const recent: Remembered = { server: [], client: [] };
/** Those with a pool of the caller's, which is not kept alive for them. */
const recentOfPools = new WeakMap<BufferPool, Remembered>();

function rememberedWith(pool: BufferPool | undefined): Remembered {
  if (pool === undefined) return recent;
  let known = recentOfPools.get(pool);
  if (known === undefined) {
    known = { server: [], client: [] };
    recentOfPools.set(pool, known);
  }
  return known;
}

/** Servers make thousands of connections with the same settings: they share one object, and all that belongs to it. */
function shared(role: Role, settings: Settings): Settings {
  const known = rememberedWith(settings.writeBufferPool)[role];
  const same = known.find((others) => {
    return connSettingNames.every((name) => isSame(settings[name], others[name]));
  });
  if (same !== undefined) return same;
  known.unshift(settings);
  known.length = Math.min(known.length, REMEMBERED);
  return settings;
}

/** What is an object here has parts that JSON tells apart. */
function isSame(value: unknown, other: unknown): boolean {
  if (value === other || typeof value !== 'object') return value === other;
  return JSON.stringify(value) === JSON.stringify(other);
}

/** The value of `readLimit`, for `setReadLimit`. */
export function readLimit(value: unknown): number {
  if (value === undefined)
    throw new TypeError('setReadLimit: expected a number of bytes, or false');
  return bound('readLimit', value);
}

/**
 * A bound in bytes or pieces, where `false` means none.
 *
 * @throws TypeError, RangeError, with the option's name.
 */
function bound(name: string, value: unknown): number {
  if (value === false) return Infinity;
  if (value === 0) throw new RangeError(`${name}: 0 bounds nothing; use false for no bound`);
  return whole(name, value);
}

function whole(name: string, value: unknown): number {
  if (typeof value !== 'number')
    throw new TypeError(`${name}: expected a number, got ${kind(value)}`);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name}: expected a whole number from 1 on, got ${value}`);
  }
  return value;
}

/**
 * Whole milliseconds, from 1 to 2^31 - 1.
 *
 * @throws TypeError, RangeError, with the option's name.
 */
export function duration(
  name: string,
  value: unknown,
  fallback: number,
  canBeOff: boolean,
): number {
  if (value === undefined) return fallback;
  if (value === false && canBeOff) return Infinity;
  const ms = whole(name, value);
  // The longest delay that the timers of every platform take.
  if (ms > 2_147_483_647)
    throw new RangeError(`${name}: expected at most 2147483647 ms, got ${ms}`);
  return ms;
}

function heartbeat(_: string, value: unknown): false | Heartbeat {
  if (value === false) return false;
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`heartbeat: expected false or { interval, timeout }, got ${kind(value)}`);
  }
  const { interval, timeout } = value as { interval?: unknown; timeout?: unknown };
  return {
    interval: duration('heartbeat.interval', interval, 20_000, false),
    timeout: duration('heartbeat.timeout', timeout, 20_000, false),
  };
}

function bufferPool(name: string, value: unknown): BufferPool {
  const { get, put } = (value ?? {}) as { get?: unknown; put?: unknown };
  if (typeof get === 'function' && typeof put === 'function') return value as BufferPool;
  throw new TypeError(`${name}: expected an object with get() and put(), got ${kind(value)}`);
}

const COMPRESSION_NAMES: readonly string[] = Object.keys(SHARED);

function compression(_: string, value: unknown): Compression | false {
  if (value === false) return false;
  if (value === true || value === 'shared') return SHARED;
  if (value === 'takeover') return { ...SHARED, mode: value };
  if (kind(value) !== 'Object') {
    const got = typeof value === 'string' ? JSON.stringify(value) : kind(value);
    throw new TypeError(
      `compression: expected true, false, 'shared', 'takeover' or an object, got ${got}`,
    );
  }
  for (const key of Object.keys(value as object)) {
    if (COMPRESSION_NAMES.includes(key)) continue;
    throw new TypeError(
      `compression: unknown option ${key}; there are ${COMPRESSION_NAMES.join(', ')}`,
    );
  }
  const given = value as CompressionOptions;
  const { mode = SHARED.mode, level = SHARED.level, asyncDeflateThreshold: late } = given;
  if (mode !== 'shared' && mode !== 'takeover') {
    throw new TypeError(`compression.mode: expected 'shared' or 'takeover', got ${String(mode)}`);
  }
  const within = (name: keyof CompressionOptions, least: number, most: number): number => {
    const { [name]: number = SHARED[name] } = given;
    return range(`compression.${name}`, number, least, most);
  };
  const bits = (name: 'serverMaxWindowBits' | 'clientMaxWindowBits'): number | undefined =>
    given[name] === undefined ? undefined : range(`compression.${name}`, given[name], 8, 15);
  return {
    mode,
    level: compressionLevel('compression.level', level),
    threshold: within('threshold', 0, Number.MAX_SAFE_INTEGER),
    serverMaxWindowBits: bits('serverMaxWindowBits'),
    clientMaxWindowBits: bits('clientMaxWindowBits'),
    sendHistory: within('sendHistory', 0, 32_768),
    takeoverEngines: within('takeoverEngines', 0, 4096),
    asyncDeflateThreshold:
      late === false || late === Infinity
        ? Infinity
        : within('asyncDeflateThreshold', 0, Number.MAX_SAFE_INTEGER),
  };
}

/**
 * What both ends agreed on for permessage-deflate.
 *
 * @throws TypeError, RangeError, with the parameter's name.
 */
export function deflateParameters(value: unknown): DeflateParameters | undefined {
  if (value === undefined) return undefined;
  if (kind(value) !== 'Object') {
    throw new TypeError(`deflate: expected an object of parameters, got ${kind(value)}`);
  }
  const given = value as DeflateParameters;
  for (const name of ['serverNoContextTakeover', 'clientNoContextTakeover'] as const) {
    if (typeof given[name] === 'boolean') continue;
    throw new TypeError(`deflate.${name}: expected true or false, got ${kind(given[name])}`);
  }
  for (const name of ['serverMaxWindowBits', 'clientMaxWindowBits'] as const) {
    range(`deflate.${name}`, given[name], 8, 15);
  }
  return given;
}

/**
 * A level of zlib's: -2 is Huffman only, -1 zlib's default.
 *
 * @throws TypeError, RangeError, with the option's name.
 */
export function compressionLevel(name: string, value: unknown): number {
  return range(name, value, -2, 9);
}

function range(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number')
    throw new TypeError(`${name}: expected a number, got ${kind(value)}`);
  const whole = Number.isSafeInteger(value) && !Object.is(value, -0);
  if (whole && value >= least && value <= most) return value;
  throw new RangeError(`${name}: expected a whole number from ${least} to ${most}, got ${value}`);
}

/** How an error message names a value of the wrong type. */
export function kind(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  return Object.prototype.toString.call(value).slice(8, -1);
}
