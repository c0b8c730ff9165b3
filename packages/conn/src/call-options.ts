import { BinaryMessage, TextMessage } from '@ws/codec';
import { checkWaitOptions, WAIT_OPTION_NAMES, type WaitOptions } from './time/wait.ts';
import { checkOptionNames, kind } from './validate.ts';
import { isControlType } from './writing/payload.ts';

/** Options of `Conn.ping`: bounds of its wait for the pong. */
export interface PingOptions {
  /** An abort ends the wait. The promise rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Longest wait in ms; `false` waits until the connection ends. A number that you pass also keeps the
   * process alive until the ping settles. Default: 20,000.
   */
  readonly timeout?: number | false | undefined;
}

/** Options of `Conn.writeMessage` and the other writes. */
export interface WriteOptions {
  /**
   * `false` sends the message uncompressed. `true` compresses it below the `threshold` of
   * `compression` too, if permessage-deflate was agreed on and the result is smaller; a message above
   * `maxBytes` only in `nextWriter`. Default: the setting of the connection.
   */
  readonly compress?: boolean | undefined;
  /**
   * An abort cancels the message while it waits: the promise rejects with the reason. The signal has no
   * effect once the transport has the message.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `Conn.nextWriter`. */
export interface NextWriterOptions {
  /** `true` waits until an open writer is closed; `false` finishes that writer. Default: false. */
  readonly queue?: boolean | undefined;
  /** As for `Conn.writeMessage`, for the whole message. */
  readonly compress?: boolean | undefined;
}

/** Options of `Conn.close`. */
export interface ConnCloseOptions extends WaitOptions {
  /** `true` drops unread messages, and all messages until the peer's close frame. Default: false. */
  readonly discard?: boolean | undefined;
}

// Checks of the arguments of Conn's methods. Each throws a TypeError for a bad argument.

export function badType(type: unknown): TypeError {
  const got = typeof type === 'number' ? type : kind(type);
  return new TypeError(
    `websocket: bad write message type: ${got}; use TextMessage or BinaryMessage, or send(data)`,
  );
}

/** Names of the options of methods that do not take exactly {@link WaitOptions}. */
const WRITE_OPTION_NAMES = ['compress', 'signal'];
const WRITER_OPTION_NAMES = ['queue', 'compress'];
const CLOSE_OPTION_NAMES = /* @__PURE__ */ ['discard'].concat(WAIT_OPTION_NAMES);

/** Checks the options of a method that takes {@link WaitOptions} only. */
export function checkWaits(method: string, options: object): void {
  checkOptionNames(method, options, WAIT_OPTION_NAMES, 'ignore');
  checkWaitOptions(options);
}

export function checkCloseOptions(options: { discard?: unknown }): void {
  checkOptionNames('close', options, CLOSE_OPTION_NAMES, 'ignore');
  checkWaitOptions(options);
  const { discard } = options;
  if (discard === undefined || typeof discard === 'boolean') return;
  throw new TypeError(`discard: expected true or false, got ${kind(discard)}`);
}

export function checkWriteOptions(method: string, options: { compress?: unknown }): void {
  checkOptionNames(method, options, WRITE_OPTION_NAMES, 'ignore');
  checkWaitOptions(options);
  checkCompress(options.compress);
}

export function checkWriterOptions(type: unknown, options: { compress?: unknown }): void {
  const isData = type === TextMessage || type === BinaryMessage;
  if (!isData && !isControlType(type)) throw badType(type);
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`nextWriter: expected options, got ${kind(options)}`);
  }
  checkOptionNames('nextWriter', options, WRITER_OPTION_NAMES, 'ignore');
  checkCompress(options.compress);
}

function checkCompress(compress: unknown): void {
  if (compress === undefined || typeof compress === 'boolean') return;
  throw new TypeError(`compress: expected true or false, got ${kind(compress)}`);
}
