import type { Conn, Report } from '@ws/conn';
import { checkOptionNames, duration } from '@ws/conn/parts';
import { expect, expectFunction } from './expect.ts';

/** The parts of a connection that this package uses. Every `Conn` and every `BrowserConn` fits. */
export type ObsConn = Pick<
  Conn,
  'close' | 'closed' | 'readMessage' | 'receive' | 'send' | 'terminate'
>;

/**
 * Opens a connection: `dial` of `@ws/node-client` or of `@ws/browser`, or a function that adds
 * options to it.
 */
export type ObsDial = (
  url: string,
  options: { readonly signal: AbortSignal; readonly subprotocols?: readonly string[] },
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
  /** Time in ms to connect and to authenticate; `false`: no bound. Default: 10,000. */
  readonly timeout?: number | false | undefined;
  /** Default: `dial` of `@ws/node-client`; in browsers, of `@ws/browser`. */
  readonly dial?: ObsDial | undefined;
  /**
   * Gets the errors of listeners, of wrong arguments, and of messages that obs-websocket does not
   * send. Default: a line on the console, at most one per kind and second.
   */
  readonly report?: Report | undefined;
}

const OPEN_OPTION_NAMES: readonly (keyof OpenOptions)[] = [
  'password',
  'signal',
  'timeout',
  'dial',
  'report',
];

/** Checked {@link CallOptions}. */
export interface Wait {
  readonly signal: AbortSignal | undefined;
  /** In ms; Infinity for no bound. */
  readonly timeout: number;
}

/** @throws TypeError, RangeError that names the option. */
export function waitOf({ signal, timeout }: CallOptions): Wait {
  const isSignal = signal === undefined || typeof signal?.addEventListener === 'function';
  expect(isSignal, 'signal', 'an AbortSignal', signal);
  return { signal, timeout: duration('timeout', timeout, 10_000, true) };
}

/** @throws TypeError, RangeError that names the option. */
export function callWaitOf(
  method: string,
  options: CallOptions = {},
  ...names: readonly string[]
): Wait {
  checkOptionNames(method, options, [...names, 'signal', 'timeout'], 'ignore');
  return waitOf(options);
}

/** @throws TypeError that names the option. */
export function checkOpenOptions(
  method: string,
  options: OpenOptions,
  ...names: readonly string[]
): void {
  checkOptionNames(method, options, [...OPEN_OPTION_NAMES, ...names], 'reject');
  const { password = '', dial, report } = options;
  expect(typeof password === 'string', 'password', 'a string', password);
  if (dial !== undefined) expectFunction('dial', dial);
  if (report !== undefined) expectFunction('report', report);
}
