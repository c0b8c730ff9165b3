import type { ConnLike, Report } from '@ws/conn';
import { checkOptionNames, duration, kind, whole } from '@ws/conn/internal';

/** The parts of a connection that this package uses. Every `Conn` and every `BrowserConn` fits. */
export type ObsConn = Pick<
  ConnLike,
  'close' | 'closed' | 'readMessage' | 'receive' | 'send' | 'terminate'
>;

/**
 * Opens a connection: `dial` of `@ws/node-client` or of `@ws/browser`, or a function that adds
 * options to it.
 */
export type ObsDial = (
  url: string,
  options: {
    readonly signal: AbortSignal;
    readonly subprotocols?: readonly string[];
    /** The option of `connect`. */
    readonly readLimit?: number | false;
  },
) => Promise<ObsConn>;

/** Bounds of the wait for an answer. */
export interface CallOptions {
  /**
   * Ends the wait when it aborts; the promise rejects with its reason. OBS may have carried out the
   * request.
   */
  readonly signal?: AbortSignal | undefined;
  /** In ms; `false` waits until the connection ends. Default: 10,000. */
  readonly timeout?: number | false | undefined;
}

/** Options of `connect` and `connectV4`. */
export interface OpenOptions {
  /** The password of OBS's WebSocket server. Default: none. */
  readonly password?: string | undefined;
  /** Cancels the connect at any stage. No effect after the connect has settled. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Time in ms to connect and to authenticate; `false`: no bound. Default: 10,000. The default
   * `dial` has its own bound of 45 s for the handshake, its option `handshakeTimeout`.
   */
  readonly timeout?: number | false | undefined;
  /**
   * The longest message of OBS that is accepted, in bytes; `false` for no limit. A longer one ends
   * the connection: a screenshot or a list of scenes may have many MiB. A function `dial` has to pass
   * it on. Default: 64 MiB.
   */
  readonly readLimit?: number | false | undefined;
  /** Default: `dial` of `@ws/node-client`; in browsers, of `@ws/browser`. */
  readonly dial?: ObsDial | undefined;
  /**
   * Gets the errors of listeners, of wrong arguments, of `encode`, and of messages that
   * obs-websocket does not send. Default: a line on the console, at most one per kind and second.
   */
  readonly report?: Report | undefined;
}

/** The types of the options that {@link CallOptions} lacks. */
const OPEN_OPTIONS = { password: 'string', dial: 'function', report: 'function' } as const;

/** Default of `readLimit`, in bytes. */
const READ_LIMIT = 64 * 2 ** 20;

/** @throws TypeError, RangeError that names the option. */
export function readLimitOf({ readLimit = READ_LIMIT }: OpenOptions): number | false {
  if (readLimit !== false) whole('readLimit', readLimit);
  return readLimit;
}

/** Checked {@link CallOptions}. */
export interface Wait {
  readonly signal: AbortSignal | undefined;
  /** In ms; Infinity for no bound. */
  readonly timeout: number;
}

/**
 * Returns the bounds of a wait.
 *
 * @param names - The options that the method takes besides those of CallOptions.
 * @throws TypeError, RangeError that names the option.
 */
export function waitOf(
  method: string,
  options: CallOptions = {},
  ...names: readonly string[]
): Wait {
  checkOptionNames(method, options, ['signal', 'timeout', ...names], 'reject');
  const { signal, timeout } = options;
  expect(
    signal === undefined || typeof signal?.addEventListener === 'function',
    'signal',
    'an AbortSignal',
    signal,
  );
  return { signal, timeout: duration('timeout', timeout, 10_000, true) };
}

/** As {@link waitOf}, for a method that takes a URL and {@link OpenOptions}. */
export function openWaitOf(
  method: string,
  url: unknown,
  options: OpenOptions,
  ...names: readonly string[]
): Wait {
  expect(url instanceof URL || typeof url === 'string', 'url', 'a URL', url);
  const own = Object.keys(OPEN_OPTIONS) as (keyof typeof OPEN_OPTIONS)[];
  const wait = waitOf(method, options, ...own, 'readLimit', ...names);
  for (const name of own) {
    if (options[name] !== undefined) expectType(name, OPEN_OPTIONS[name], options[name]);
  }
  return wait;
}

/**
 * Throws unless `holds`.
 *
 * @param name - The option or argument.
 * @param expected - What it has to be, with its article.
 * @throws TypeError that names both, and what `value` is.
 */
export function expect(holds: boolean, name: string, expected: string, value: unknown): void {
  if (!holds) throw new TypeError(`${name}: expected ${expected}, got ${kind(value)}`);
}

/** @throws TypeError when `value` is not of `type`. */
export function expectType(
  name: string,
  type: 'boolean' | 'function' | 'string',
  value: unknown,
): void {
  expect(typeof value === type, name, `a ${type}`, value);
}

/** @throws TypeError unless a request has a name, and an object of fields or none. */
export function checkCall(method: string, type: unknown, data: unknown = {}): void {
  expect(typeof type === 'string', method, 'the name of a request', type);
  expect(kind(data) === 'Object', String(type), 'an object of fields', data);
}
