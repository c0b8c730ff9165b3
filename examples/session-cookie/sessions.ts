import { createHash, randomBytes } from 'node:crypto';
import type { Conn } from '@ws/node-server';

/** A visitor who has logged in, until the session ends. */
export class Session {
  readonly user: string;
  /** When it does by itself, as `Date.now()` counts. */
  readonly expires: number;
  readonly #conns = new Set<Conn>();
  #over = false;

  constructor(user: string, expires: number) {
    this.user = user;
    this.expires = expires;
  }

  /** A connection that lives no longer than the session. */
  add(conn: Conn): void {
    // It ended between the check and the handler.
    if (this.#over) void conn.close(1008, 'session ended');
    this.#conns.add(conn);
    void conn.closed.then(() => this.#conns.delete(conn));
  }

  end(reason: string): void {
    this.#over = true;
    for (const conn of this.#conns) void conn.close(1008, reason);
  }
}

/** All sessions. The cookie is a random id; only its hash is kept, so that no lookup's time tells of an id. */
export class Sessions {
  readonly #seconds: number;
  readonly #byHash = new Map<string, Session>();

  constructor(seconds: number) {
    if (!Number.isSafeInteger(seconds) || seconds < 1) {
      throw new RangeError(`SESSION_SECONDS: expected 1 or more, got ${seconds}`);
    }
    this.#seconds = seconds;
    // One for all, and not a timer for each session: one of 25 days or more would fire at once.
    setInterval(() => this.#sweep(), 1_000).unref();
  }

  /** Opens a session and gives the cookie that names it. Behind TLS, add `Secure` to it. */
  open(user: string): string {
    const id = randomBytes(32).toString('base64url');
    this.#byHash.set(hash(id), new Session(user, Date.now() + this.#seconds * 1000));
    return `session=${id}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${this.#seconds}`;
  }

  find(id = ''): Session | undefined {
    const session = this.#byHash.get(hash(id));
    return session !== undefined && session.expires > Date.now() ? session : undefined;
  }

  end(id = '', reason = 'logged out'): void {
    this.#end(hash(id), reason);
  }

  /** Closes what the sessions that have expired have opened. */
  #sweep(): void {
    for (const [key, { expires }] of this.#byHash) {
      if (expires <= Date.now()) this.#end(key, 'session expired');
    }
  }

  #end(key: string, reason: string): void {
    this.#byHash.get(key)?.end(reason);
    this.#byHash.delete(key);
  }
}

/** The session's id in a Cookie header. */
export function sessionId(cookie = ''): string | undefined {
  return /(?:^|; )session=([\w-]+)/.exec(cookie)?.[1];
}

function hash(id: string): string {
  return createHash('sha256').update(id).digest('base64');
}
