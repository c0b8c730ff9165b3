import type { ConnLike } from '@ws/conn';
import { checkOptionNames, duration, kind } from '@ws/conn/internal';

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
