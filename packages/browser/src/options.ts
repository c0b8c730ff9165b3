import { bound } from '@ws/conn/internal';

/** Bounds of a `BrowserConn`: the options of `fromWebSocket`. */
export interface BrowserConnOptions {
  /** The longest message that is accepted, in bytes; `false` for no limit. Default: 16 MiB. */
  readonly readLimit?: number | false | undefined;
  /**
   * The most bytes of messages that wait for a read, with 320 for each message; `false` for no
   * bound. More close the connection with 3008 and a BackpressureError: a page cannot pause a
   * WebSocket. Default: 16 MiB.
   */
  readonly maxQueuedBytes?: number | false | undefined;
  /**
   * A write resolves below this many buffered bytes; `false` for at once. Default: 64 KiB.
   */
  readonly highWaterMark?: number | false | undefined;
  /**
   * The most bytes that wait to be sent, with 320 for each message that waits for a socket that
   * connects; `false` for no bound. A write that exceeds it rejects with a BackpressureError. An
   * empty queue accepts one message of any size. Default: 16 MiB.
   */
  readonly maxBufferedAmount?: number | false | undefined;
}

/** The turns in which one waiting write looks at `bufferedAmount`. */
export interface Turns {
  /** Calls `look` in a later turn. */
  next(look: () => void): void;
  /** The wait is over. */
  stop?(): void;
}

/** The differences between a page and a server of `@ws/fetch`, which have the same kind of socket. */
export interface Side {
  /** The close code after `error` of the application. */
  errorCloseCode(error: unknown): number;
  /** The close code after more than `maxQueuedBytes`. */
  readonly queueCloseCode: number;
  /** The close code after a message over `readLimit`. */
  readonly limitCloseCode: number;
  /** @throws TypeError, RangeError for a code that `close` must not send. */
  readonly checkCode: (code: number) => void;
  /** Makes the turns in which a waiting write looks at `bufferedAmount`, which has no event. */
  readonly turns: () => Turns;
  /** Explains the error of a connection that is lost; may be empty. */
  readonly note: string;
  /** Gets the errors of the application's functions. */
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
