/**
 * The module of `ws-bench load --script`. Its default export is the work of one user, its `options`
 * the stages and thresholds. Options of the command line win.
 *
 * @example
 * ```js
 * export const options = {
 *   stages: [{ duration: '10s', connections: 50 }, { duration: '30s', connections: 50 }],
 *   thresholds: ['p95<50', 'rate>1000', 'errors<1%'],
 * };
 *
 * export default async function (user) {
 *   const socket = await user.connect();
 *   socket.send(`join ${user.id}`);
 *   await socket.expect('joined');
 *   while (await user.next()) {
 *     socket.send('ping');
 *     await socket.expect('pong');
 *   }
 * }
 * ```
 */
export interface ScriptModule {
  readonly default: Script;
  readonly options?: ScriptOptions;
}

/**
 * The work of one user. It is called again when it returns, until the user has to leave. An error
 * is counted, and the user begins again half a second later. Sockets that are still open are
 * closed after each call.
 */
export type Script = (user: User) => unknown;

/** `options` of a script. */
export interface ScriptOptions {
  /** Ramps from no user, one after the other. Default: `--connections` for `--duration`. */
  readonly stages?: readonly {
    /** `10s`, `500ms`, `2m`. */
    readonly duration: string;
    /** Users at the end of the stage. */
    readonly connections: number;
    /** Turns per second of all users together at the end of the stage. See {@link User.next}. */
    readonly rate?: number;
  }[];
  /** Such as `p95<50`, `rate>1000`, `errors<1%`. */
  readonly thresholds?: readonly string[];
}

/** A virtual user. */
export interface User {
  /** 1, 2, 3 and so on. */
  readonly id: number;
  /** Whether the user may continue. False at the end of the load, and when a stage has fewer users. */
  readonly running: boolean;
  /**
   * Opens a connection to the URL of the command line.
   *
   * @param options - `path`: replaces path and query of that URL. `subprotocols`: are offered.
   *   `headers`: besides those of `--header`.
   * @throws (rejects) Error when the server refuses or does not answer.
   */
  connect(options?: ConnectOptions): Promise<ScriptSocket>;
  /**
   * Waits for the next turn of this user. Without a rate it resolves at once. With a rate, turns have
   * planned moments, shared by all users, and the next latency counts from that moment: a late
   * turn includes its wait.
   *
   * @returns Whether the user may continue: `while (await user.next()) { … }`.
   */
  next(): Promise<boolean>;
  /** Waits, at most until the user has to leave. */
  sleep(ms: number): Promise<void>;
}

/** Options of {@link User.connect}. */
export interface ConnectOptions {
  readonly path?: string;
  readonly subprotocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** A message: text is a string. */
export type ScriptData = string | Uint8Array;

/** What a message has to be: equal text or bytes, a matching text, or what the function accepts. */
export type Expected = ScriptData | RegExp | ((data: ScriptData) => unknown);

/** A connection of a user. */
export interface ScriptSocket {
  /** Sends a text or a binary message. The latency of the next {@link expect} counts from here. */
  send(data: ScriptData): void;
  /**
   * Waits for the next message. The load counts it, with the time since the last {@link send} as
   * its latency. A message that no `send` preceded is counted without a latency.
   *
   * @param expected - Default: any message.
   * @param options - `timeout`: in ms, default 10,000. `skip`: whether messages that differ are
   *   skipped, such as those of other users. Default: they are errors.
   * @throws (rejects) Error for another message, at the end of the connection, after `timeout`.
   */
  expect(expected?: Expected, options?: ExpectOptions): Promise<ScriptData>;
  /** Closes the connection with code 1000. */
  close(): Promise<void>;
}

/** Options of {@link ScriptSocket.expect}. */
export interface ExpectOptions {
  readonly timeout?: number;
  readonly skip?: boolean;
}
