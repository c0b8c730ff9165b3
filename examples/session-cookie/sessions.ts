import { createHash, randomBytes } from 'node:crypto';
import type { Conn } from '@ws/node-server';

/** A visitor who has logged in, until the session ends. */
export class Session {
  readonly user: string;
  readonly #conns = new Set<Conn>();
  #over = false;

  constructor(user: string) {
    this.user = user;
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
    this.#seconds = seconds;
  }

  /** Opens a session and gives the cookie that names it. Behind TLS, add `Secure` to it. */
  open(user: string): string {
    const id = randomBytes(32).toString('base64url');
    this.#byHash.set(hash(id), new Session(user));
    setTimeout(() => this.end(id, 'session expired'), this.#seconds * 1000).unref();
    return `session=${id}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${this.#seconds}`;
  }

  find(id = ''): Session | undefined {
    return this.#byHash.get(hash(id));
  }

  end(id = '', reason = 'logged out'): void {
    this.find(id)?.end(reason);
    this.#byHash.delete(hash(id));
  }
}

/** The session's id in a Cookie header. */
export function sessionId(cookie = ''): string | undefined {
  return /(?:^|; )session=([\w-]+)/.exec(cookie)?.[1];
}

function hash(id: string): string {
  return createHash('sha256').update(id).digest('base64');
}
