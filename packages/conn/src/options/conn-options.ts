import type { Compression, DeflateParameters, Extension, Role } from '@ws/codec';
import { checkRole } from '@ws/codec/internal';
import type { BufferPool } from '../memory/write-memory.ts';
import type { Platform } from '../platform/platform.ts';
import { portablePlatform } from '../platform/portable-platform.ts';
import type { Report } from '../report/report.ts';
import { bound, checkOptionNames, duration, kind, whole } from '../validate.ts';
import { type CompressionOptions, checkedCompression } from './compression.ts';

/** Times in ms: until a silent peer is pinged, and from the ping until the connection ends. */
export interface Heartbeat {
  /** Silence in ms before a ping is sent. */
  readonly interval: number;
  /**
   * Silence in ms after a ping before the connection ends with 1006 and a TimeoutError. While bytes
   * from before the ping are still unsent, the connection stays open if some of them are sent in each
   * `interval + timeout`.
   */
  readonly timeout: number;
}

/** Settings of a `Conn`. `false` in place of a number: no bound. */
export interface ConnSettings {
  /**
   * Longest accepted message, in bytes after inflation. Default: 1 MiB on a server, 16 MiB on a
   * client.
   */
  readonly readLimit?: number | false | undefined;
  /**
   * Bound of the bytes of messages that are kept while no read is pending. At the bound the transport
   * is paused. While a call of `ping` waits, the bound is 1 MiB higher. Default: 64 KiB.
   */
  readonly readAhead?: number | undefined;
  /** Time in ms before a paused connection without a reader ends with 1006. Default: 5 min. */
  readonly idleReadTimeout?: number | false | undefined;
  /** From this many buffered bytes on, the promises of writes wait for a drain. Default: 64 KiB. */
  readonly highWaterMark?: number | undefined;
  /**
   * Bound of the buffered bytes. Above `highWaterMark`, a write that would exceed this bound
   * rejects with a BackpressureError. Below `highWaterMark`, a write of any size is accepted; if this
   * bound is less than `highWaterMark`, only while nothing is buffered. A write that waits for an open
   * MessageWriter, or for an earlier write of its own writer, counts 1,024 bytes in addition to its data.
   * Default: 16 MiB.
   */
  readonly maxBufferedAmount?: number | false | undefined;
  /**
   * Longest payload of a sent frame in bytes, for gateways with a bound of frames. A longer message becomes
   * several frames in one step, from a copy of its bytes. It does not lift a gateway's bound of messages.
   * Default: none.
   */
  readonly fragmentationThreshold?: number | false | undefined;
  /**
   * Time in ms that the peer has for its part of the closing handshake. When the peer closes first,
   * your code has half of this time to read the messages before the close frame. Default: 5 s.
   */
  readonly closeTimeout?: number | undefined;
  /** Pings to silent peers. Default: `interval` 20 s, `timeout` 20 s. */
  readonly heartbeat?: false | Heartbeat | undefined;
  /**
   * Payload in bytes of each fragment of `nextWriter`, and smallest size of a buffer that the library
   * creates for a `writeBufferPool`. At most 16 MiB. Default: 4,096.
   */
  readonly writeBufferSize?: number | undefined;
  /**
   * Lends buffers for unsent frames of less than 64 KiB. Each larger frame gets separate memory.
   * Default: all connections of the thread share one buffer.
   */
  readonly writeBufferPool?: BufferPool | undefined;
  /** `true`: permessage-deflate with the default {@link CompressionOptions}. Default: false. */
  readonly compression?: boolean | 'shared' | 'takeover' | CompressionOptions | undefined;
  /**
   * Gets errors that your code may miss: errors that your functions throw (a handler, a `toJSON`, a
   * buffer pool), and the TypeErrors and RangeErrors of wrong arguments. The promises that reject with
   * such an error are never unhandled. Also reports each connection's first refused message or
   * ping that no code awaits; a MessageWriter that delays a message for 5 s; and bytes that were
   * transferred while their write was pending. Does not get the end of a connection: see `closed`.
   * Default: prints a warning with the stack, once a second for each kind of error (Node: a process
   * warning; elsewhere `console.error`).
   */
  readonly report?: Report | undefined;
}

/** Options of `new Conn`. */
export interface ConnOptions extends ConnSettings {
  /** A client masks its frames, a server does not (RFC 6455, section 5.1). */
  readonly role: Role;
  /** The services of the runtime, which the library trusts. Default: `portablePlatform`. */
  readonly platform?: Platform | undefined;
  /** The subprotocol that the handshake agreed on. Default: `''`. */
  readonly subprotocol?: string | undefined;
  /**
   * The extensions that the handshake agreed on, as in the response's header: the text of
   * {@link Conn.extensions}. Default: `''`.
   */
  readonly extensions?: string | undefined;
  /** Agreed parameters of permessage-deflate (RFC 7692, section 7.1). Default: none. */
  readonly deflate?: DeflateParameters | undefined;
  /**
   * Your extension in place of `deflate` (RFC 6455, section 9). An object for this connection only.
   * Unstable. Default: none.
   */
  readonly extension?: Extension | undefined;
}

/** The part of a handshake's result that a `Conn` needs. */
export type Agreed = Pick<ResolvedOptions, 'subprotocol' | 'extensions' | 'deflate'> &
  Partial<Pick<ResolvedOptions, 'extension'>>;

/**
 * Options of a `Conn` with checked settings. A server or dialer checks the settings once for all
 * connections, with {@link resolveSettings}.
 */
export class ResolvedOptions implements ConnOptions {
  readonly role: Role;
  readonly platform: Platform;
  readonly settings: Settings;
  readonly subprotocol: string;
  readonly extensions: string;
  readonly deflate: DeflateParameters | undefined;
  readonly extension: Extension | undefined;

  constructor(role: Role, platform: Platform, settings: Settings, agreed: Agreed) {
    this.role = role;
    this.platform = platform;
    this.settings = settings;
    this.subprotocol = agreed.subprotocol;
    this.extensions = agreed.extensions;
    this.deflate = agreed.deflate;
    this.extension = agreed.extension;
  }
}

/** {@link ConnSettings} with every default filled in; `Infinity` means no bound. */
export interface Settings {
  readonly readLimit: number;
  readonly readAhead: number;
  readonly idleReadTimeout: number;
  readonly highWaterMark: number;
  readonly maxBufferedAmount: number;
  readonly closeTimeout: number;
  readonly heartbeat: false | Heartbeat;
  /** A separate object, so that all connections with its defaults share one. */
  readonly writing: WritingSettings;
  readonly report: Report | undefined;
}

type WritingSettings = {
  readonly writeBufferSize: number;
  readonly fragmentationThreshold: number;
  readonly writeBufferPool: BufferPool | undefined;
  readonly compression: Compression | false;
};

const KIB = 1024;
const MIB = 1_048_576;

// Functions, because a bundler cannot remove unused constants with arithmetic or spreads.
const SERVER: Settings = /* @__PURE__ */ serverDefaults();

function serverDefaults(): Settings {
  return {
    readLimit: MIB,
    readAhead: 64 * KIB,
    idleReadTimeout: 5 * 60_000,
    highWaterMark: 64 * KIB,
    maxBufferedAmount: 16 * MIB,
    closeTimeout: 5_000,
    heartbeat: { interval: 20_000, timeout: 20_000 },
    writing: {
      writeBufferSize: 4096,
      fragmentationThreshold: Infinity,
      writeBufferPool: undefined,
      compression: false,
    },
    report: undefined,
  };
}

const DEFAULTS: { readonly [R in Role]: Settings } = /* @__PURE__ */ defaults();

function defaults(): { readonly [R in Role]: Settings } {
  return { server: SERVER, client: { ...SERVER, readLimit: 16 * MIB } };
}

/** The names of {@link ConnSettings}, for packages that pass settings through. */
export const connSettingNames: readonly (keyof ConnSettings)[] = [
  'readLimit',
  'readAhead',
  'idleReadTimeout',
  'highWaterMark',
  'maxBufferedAmount',
  'fragmentationThreshold',
  'closeTimeout',
  'heartbeat',
  'writeBufferSize',
  'writeBufferPool',
  'compression',
  'report',
];

const CONN_OPTION_NAMES: readonly string[] = /* @__PURE__ */ connOptionNames();

function connOptionNames(): (keyof ConnOptions)[] {
  return [
    'role',
    'platform',
    'subprotocol',
    'extensions',
    'deflate',
    'extension',
    ...connSettingNames,
  ];
}

/**
 * Checks all options of a `Conn` and fills in the defaults.
 *
 * @throws TypeError or RangeError that names the bad option.
 */
export function resolveOptions(options: ConnOptions): ResolvedOptions {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`new Conn: expected options, got ${kind(options)}`);
  }
  const { role, subprotocol = '', extensions = '', platform = portablePlatform } = options;
  checkRole(role);
  if (typeof extensions !== 'string') {
    throw new TypeError(`extensions: expected a string, got ${kind(extensions)}`);
  }
  checkOptionNames('new Conn', options, CONN_OPTION_NAMES, 'ignore');
  const settings = resolveSettings(options, role);
  const deflate = deflateParameters(options.deflate);
  const extension = checkedExtension(options.extension, deflate);
  const agreed = { subprotocol, extensions, deflate, extension };
  return new ResolvedOptions(role, platform, settings, agreed);
}

/**
 * Checks the settings and fills in the defaults.
 *
 * @throws TypeError for a value of the wrong type, RangeError for a number out of its range; both
 *   name the option.
 */
export function resolveSettings(options: ConnSettings, role: Role): Settings {
  const defaults = DEFAULTS[role];
  const given = connSettingNames.some((name) => options[name] !== undefined);
  if (!given) return defaults;
  const resolve = <K extends Exclude<keyof Settings, 'writing'>>(
    name: K,
    check: (name: string, value: unknown) => Settings[K],
  ): Settings[K] => {
    const { [name]: value } = options;
    return value === undefined ? defaults[name] : check(name, value);
  };
  return {
    readLimit: resolve('readLimit', bound),
    readAhead: resolve('readAhead', whole),
    idleReadTimeout: resolve('idleReadTimeout', (name, value) => duration(name, value, 0, true)),
    highWaterMark: resolve('highWaterMark', whole),
    maxBufferedAmount: resolve('maxBufferedAmount', bound),
    closeTimeout: resolve('closeTimeout', (name, value) => duration(name, value, 0, false)),
    heartbeat: resolve('heartbeat', heartbeat),
    writing: resolveWriting(options),
    report: resolve('report', reportFunction),
  };
}

function resolveWriting(options: ConnSettings): WritingSettings {
  const { writing } = SERVER;
  const { writeBufferSize = writing.writeBufferSize, writeBufferPool: pool } = options;
  const { compression: compress = false, fragmentationThreshold } = options;
  const isDefault =
    writeBufferSize === writing.writeBufferSize && fragmentationThreshold === undefined;
  if (isDefault && pool === undefined && compress === false) return writing;
  return {
    writeBufferSize: whole('writeBufferSize', writeBufferSize, 1, 16 * MIB),
    fragmentationThreshold:
      fragmentationThreshold === undefined
        ? Infinity
        : bound('fragmentationThreshold', fragmentationThreshold),
    writeBufferPool: pool === undefined ? undefined : bufferPool('writeBufferPool', pool),
    compression: checkedCompression(compress),
  };
}

/**
 * Returns the argument of `setReadLimit` in bytes, Infinity for `false`.
 *
 * @throws TypeError, RangeError for another value.
 */
export function readLimit(value: unknown): number {
  if (value === undefined) {
    throw new TypeError('setReadLimit: expected a number of bytes, or false');
  }
  return bound('readLimit', value);
}

function heartbeat(_: string, value: unknown): false | Heartbeat {
  if (value === false) return false;
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`heartbeat: expected false or { interval, timeout }, got ${kind(value)}`);
  }
  checkOptionNames('heartbeat', value, ['interval', 'timeout'], 'ignore');
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

function reportFunction(name: string, value: unknown): Report {
  if (typeof value === 'function') return value as Report;
  throw new TypeError(`${name}: expected a function, got ${kind(value)}`);
}

/**
 * Checks the agreed parameters of permessage-deflate.
 *
 * @throws TypeError or RangeError that names the parameter.
 */
function deflateParameters(value: unknown): DeflateParameters | undefined {
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
    whole(`deflate.${name}`, given[name], 8, 15);
  }
  return given;
}

const EXTENSION_METHODS = [
  'begin',
  'feed',
  'ready',
  'step',
  'keep',
  'endMessage',
  'destroy',
  'wants',
  'encode',
  'endOutput',
] as const satisfies readonly (keyof Extension)[];

/** All reserved bits (RFC 6455, section 5.2). */
const RSV = 0x70;

/**
 * Checks the extension of a connection.
 *
 * @param deflate - The parameters of permessage-deflate, if agreed. A connection has one extension.
 * @throws TypeError that names the wrong or missing member.
 */
function checkedExtension(
  value: unknown,
  deflate: DeflateParameters | undefined,
): Extension | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`extension: expected an Extension, got ${kind(value)}`);
  }
  const extension = value as Extension;
  const missing = EXTENSION_METHODS.find((method) => typeof extension[method] !== 'function');
  if (missing !== undefined) throw new TypeError(`extension: an Extension has a method ${missing}`);
  const { rsv } = extension;
  if (!Number.isInteger(rsv) || rsv === 0 || (rsv & RSV) !== rsv) {
    throw new TypeError(`extension.rsv: expected a sum of 0x40, 0x20 and 0x10, got ${String(rsv)}`);
  }
  if (deflate !== undefined) {
    throw new TypeError('extension: a connection has one extension; leave deflate out');
  }
  return extension;
}
