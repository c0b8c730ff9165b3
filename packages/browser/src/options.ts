import { bound } from '@ws/conn/internal';

/** Bounds of a `BrowserConn`: the options of `fromWebSocket`. */
export interface BrowserConnOptions {
  /** The longest accepted message, in bytes; `false` for no limit. Default: 16 MiB. */
  readonly readLimit?: number | false | undefined;
  /**
   * The most bytes of unread messages, with 320 more for each message; `false` for no bound. A message
   * above this bound closes the connection with 3008 and a BackpressureError, because a page cannot
   * pause a WebSocket. Default: 16 MiB.
   */
  readonly maxQueuedBytes?: number | false | undefined;
  /**
   * A write resolves when fewer bytes are buffered; `false`: at once. Default: 64 KiB.
   */
  readonly highWaterMark?: number | false | undefined;
  /**
   * The most bytes that wait to be sent; `false` for no bound. While the socket connects, each message
   * counts 320 bytes more. A write above this bound rejects with a BackpressureError. An empty queue
   * accepts one message of any size. Default: 16 MiB.
   */
  readonly maxBufferedAmount?: number | false | undefined;
}

/** The turns in which one waiting write checks `bufferedAmount`, which has no event. */
export interface Turns {
  /** Calls `check` in a later turn. */
  next(check: () => void): void;
  /** Called when the wait has ended. */
  stop?(): void;
}

/** The differences between a page and a server of `@ws/fetch`. Both have the same kind of socket. */
export interface Side {
  /** The close code for an error of the application. */
  errorCloseCode(error: unknown): number;
  /** The close code when unread messages exceed `maxQueuedBytes`. */
  readonly queueCloseCode: number;
  /** The close code when a message exceeds `readLimit`. */
  readonly limitCloseCode: number;
  /** Whether an end with 1001 counts as a break, unless this end has closed the connection. */
  readonly breaksOnGoingAway: boolean;
  /** @throws TypeError, RangeError for a code that `close` must not send. */
  readonly checkCode: (code: number) => void;
  /** Creates the turns of one waiting write. */
  readonly turns: () => Turns;
  /** Explains the error of a lost connection; may be empty. */
  readonly note: string;
  /** Called with the errors of the application's functions. */
  readonly report: (error: unknown) => void;
}

/** Checked {@link BrowserConnOptions}; Infinity for no bound. */
export type BrowserConnBounds = {
  -readonly [Name in keyof BrowserConnOptions]-?: number;
};

/** The bounds of a connection, and the side that it is on. */
export type BrowserConnSettings = BrowserConnBounds & Side;

const MIB = 2 ** 20;
const CONN_DEFAULTS = {
  readLimit: 16 * MIB,
  maxQueuedBytes: 16 * MIB,
  highWaterMark: 2 ** 16,
  maxBufferedAmount: 16 * MIB,
};

export const CONN_OPTION_NAMES: readonly string[] = /* @__PURE__ */ Object.keys(CONN_DEFAULTS);

/** @throws TypeError, RangeError that names the option. */
export function checkConnOptions(options: BrowserConnOptions): BrowserConnBounds {
  const bounds = { ...CONN_DEFAULTS };
  for (const name of Object.keys(bounds) as (keyof BrowserConnOptions)[]) {
    bounds[name] = bound(name, options[name] ?? bounds[name]);
  }
  return bounds;
}
