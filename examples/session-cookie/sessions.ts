import { createHash, randomBytes } from 'node:crypto';
import type { Conn } from '@ws/node-server';

/** A session of a user who has logged in. */
export class Session {
  readonly user: string;
  /** When the session expires, in ms since 1970. */
  readonly expires: number;
  readonly #conns = new Set<Conn>();
  #ended = false;

  constructor(user: string, expires: number) {
    this.user = user;
    this.expires = expires;
  }

  /** Adds a connection, which closes when the session ends before it expires. */
  add(conn: Conn): void {
    // The session may end between the check and the handler.
    if (this.#ended) end(conn, 'session ended');
    this.#conns.add(conn);
    void conn.closed.then(() => this.#conns.delete(conn));
  }

  end(reason: string): void {
    this.#ended = true;
    for (const conn of this.#conns) end(conn, reason);
  }
}

/** Nothing that the client sends after this call reaches a handler. */
function end(conn: Conn, reason: string): void {
  void conn.close(1008, reason, { discard: true });
}

/**
 * All sessions. The cookie is a random id. Only its hash is stored, so the time of a lookup reveals
 * nothing about an id.
 */
export class Sessions {
  readonly #seconds: number;
  readonly #byHash = new Map<string, Session>();

  constructor(seconds: number) {
    if (!Number.isSafeInteger(seconds) || seconds < 1) {
      throw new RangeError(`SESSION_SECONDS: expected 1 or more, got ${seconds}`);
    }
    this.#seconds = seconds;
    // One timer for all sessions: a timer of 25 days or more would fire at once.
    setInterval(() => this.#sweep(), 1_000).unref();
  }

  /** Opens a session. @returns Its cookie; with TLS, add `Secure` to it. */
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
    const key = hash(id);
    this.#byHash.get(key)?.end(reason);
    this.#byHash.delete(key);
  }

  /** Forgets the expired sessions. The server closes their connections. */
  #sweep(): void {
    for (const [key, { expires }] of this.#byHash) {
      if (expires <= Date.now()) this.#byHash.delete(key);
    }
  }
}

/** The session id in a Cookie header. */
export function sessionId(cookie = ''): string | undefined {
  return /(?:^|; )session=([\w-]+)/.exec(cookie)?.[1];
}

function hash(id: string): string {
  return createHash('sha256').update(id).digest('base64');
}
