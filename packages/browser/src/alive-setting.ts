import type { BrowserConn } from './browser-conn.ts';
import type { AliveOptions, AlivePlan } from './dial-options.ts';

/** The longest time in ms from a question to the next message, after such ends. */
const LONGEST_TIMEOUT = 60_000;

/**
 * The option `alive` of all connections to one URL. When this option has ended a connection, the
 * next one has twice the time: the peer may have sent a long message, of which a page sees no part.
 */
export class AliveSetting {
  readonly #given: AliveOptions | false | undefined;
  #plan: AlivePlan | undefined;
  #timeout = 0;
  /** The connections that live: a call of {@link set} holds for these too. */
  readonly #conns = new Set<BrowserConn>();

  constructor(given: AliveOptions | false | undefined) {
    this.#given = given;
  }

  /** Whether the application has set the option. */
  get isGiven(): boolean {
    return this.#given !== undefined;
  }

  /** A connection has opened. */
  opened(conn: BrowserConn): void {
    this.#conns.add(conn);
    void conn.closed.then(() => this.#conns.delete(conn));
    this.#start(conn);
  }

  #start(conn: BrowserConn): void {
    if (this.#plan !== undefined) conn.keepAlive({ ...this.#plan, timeout: this.#timeout });
  }

  /**
   * @param refused - Called once with an error when the peer closes two connections in a row after a
   *   question. A single close may have crossed the question.
   */
  set(plan: AlivePlan | undefined, refused: (error: Error) => void): void {
    if (plan === undefined) return;
    this.#timeout = plan.timeout;
    let isReported = false;
    let lastCode: number | undefined;
    this.#plan = {
      ...plan,
      answered: () => void (this.#timeout = plan.timeout),
      lost: () => {
        lastCode = undefined;
        const longest = Math.max(LONGEST_TIMEOUT, plan.timeout);
        this.#timeout = Math.min(this.#timeout * 2, longest);
      },
      closed: (code) => {
        const isSame = code !== undefined && code === lastCode;
        lastCode = code;
        if (isReported || !isSame) return;
        isReported = true;
        refused(new Error(`the peer closed with ${code} ${plan.note}`));
      },
    };
    for (const conn of this.#conns) this.#start(conn);
  }
}
