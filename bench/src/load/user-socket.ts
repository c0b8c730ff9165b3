import { type ClientConn, type Message, TimeoutError } from '@ws/node-client';
import { differenceOf } from './difference.ts';
import type { Expected, ExpectOptions, ScriptData, ScriptSocket } from './script.ts';

const EXPECT_TIMEOUT_MS = 10_000;
/** Limit for the answer to a close frame, in ms. */
const CLOSE_TIMEOUT_MS = 2000;

/** Where the messages of all users are counted. */
export interface Counter {
  /** @param latency - In ms; undefined for a message that no message preceded. */
  message(latency: number | undefined): void;
}

/** A connection of a user of a script. */
export class UserSocket implements ScriptSocket {
  readonly #conn: ClientConn;
  readonly #counter: Counter;
  /** The moment from which the next latency counts. */
  readonly #now: () => number;
  #sent: number | undefined;

  /** @param now - The planned moment of the turn, or the time. */
  constructor(conn: ClientConn, counter: Counter, now: () => number) {
    this.#conn = conn;
    this.#counter = counter;
    this.#now = now;
  }

  send(data: ScriptData): void {
    this.#sent = this.#now();
    // A failed write is a failed connection, which `expect` reports.
    this.#conn.send(data).catch(() => {});
  }

  async expect(expected?: Expected, options: ExpectOptions = {}): Promise<ScriptData> {
    const { timeout = EXPECT_TIMEOUT_MS, skip = false } = options;
    const until = performance.now() + timeout;
    for (;;) {
      const message = await this.#read(until, timeout);
      const data = message.isText ? message.text() : message.data;
      const fault = faultOf(data, expected);
      if (fault === undefined) {
        const sent = this.#sent;
        this.#sent = undefined;
        this.#counter.message(sent === undefined ? undefined : performance.now() - sent);
        return data;
      }
      if (!skip) throw new Error(fault);
    }
  }

  async #read(until: number, timeout: number): Promise<Message> {
    const left = Math.max(1, Math.ceil(until - performance.now()));
    try {
      return await this.#conn.readMessage({ timeout: left });
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      throw new Error(`no message within ${timeout} ms`, { cause: error });
    }
  }

  async close(): Promise<void> {
    await this.#conn.close(1000, '', { timeout: CLOSE_TIMEOUT_MS, discard: true });
  }

  /** Ends the connection at once. */
  terminate(): void {
    this.#conn.terminate();
  }
}

/** Why a message is not the expected one. */
function faultOf(data: ScriptData, expected: Expected | undefined): string | undefined {
  if (expected === undefined) return undefined;
  if (typeof expected === 'function') {
    return expected(data) ? undefined : `the function rejects ${shown(data)}`;
  }
  if (expected instanceof RegExp) {
    const matches = typeof data === 'string' && expected.test(data);
    return matches ? undefined : `expected ${String(expected)}, got ${shown(data)}`;
  }
  if (typeof data !== typeof expected) return `expected ${shown(expected)}, got ${shown(data)}`;
  const [got, wanted] = [Buffer.from(data as string), Buffer.from(expected as string)];
  return got.equals(wanted) ? undefined : `a message ${differenceOf(got, wanted)}`;
}

/** Most characters or bytes of a message in an error. */
const MOST_SHOWN = 80;

function shown(data: ScriptData): string {
  const more = data.length > MOST_SHOWN ? ` … (${data.length})` : '';
  if (typeof data === 'string') return `text ${JSON.stringify(data.slice(0, MOST_SHOWN))}${more}`;
  const hex = Buffer.from(data.subarray(0, MOST_SHOWN / 2)).toString('hex');
  return `bytes ${hex}${data.length > MOST_SHOWN / 2 ? ` … (${data.length})` : ''}`;
}
