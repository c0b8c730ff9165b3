import {
  CloseCode,
  CloseError,
  CloseSentError,
  type Conn,
  ProtocolError,
  ReadLimitError,
  TimeoutError,
  TransportError,
} from '@ws/conn';
import { HandshakeError } from './errors.ts';
import { warn } from './options.ts';

/** What a connection's end is told by, to those who read and write it. */
const ENDS = [
  CloseError,
  CloseSentError,
  ProtocolError,
  ReadLimitError,
  TimeoutError,
  TransportError,
] as const;

/** How long after its handler has failed a connection that is ending may take to say so, in ms. */
const SOON_MS = 100;

/** Tells the application what its own functions threw. */
export class Reports {
  readonly #report: (error: unknown) => unknown;

  constructor(report: (error: unknown) => unknown) {
    this.#report = report;
  }

  /** Why there is no connection. That a client was refused, or went away, is nothing that the server did wrong. */
  handshake(error: unknown): void {
    if (error instanceof HandshakeError) {
      // 500 as the application's own refusal has no cause: nothing failed.
      if (error.status === 500 && 'cause' in error) void this.#tell(error.cause ?? error);
    } else if (!(error instanceof TransportError)) {
      void this.#tell(error);
    }
  }

  /** Closes the connection whose handler failed, and tells why, unless that is how this very connection has ended. */
  handler(conn: Conn, error: unknown): void {
    const wasOpen = conn.state === 'open';
    void conn.close(CloseCode.InternalServerErr);
    if (ENDS.some((End) => error instanceof End)) void this.#unlessOwn(conn, error, wasOpen);
    else void this.#tell(error);
  }

  async #unlessOwn(conn: Conn, error: unknown, wasOpen: boolean): Promise<void> {
    // One for each writer, but never before the connection begins to close.
    if (error instanceof CloseSentError && !wasOpen) return;
    const ends = await endsOf(conn);
    if (!ends.includes(error)) await this.#tell(error);
  }

  /** A report that fails is told of by the default one. */
  async #tell(error: unknown): Promise<void> {
    try {
      await this.#report(error);
    } catch (fault) {
      warn(fault);
    }
  }
}

/** What the end of a connection is told by, where it has ended: to `closed`, to reads and to writes. */
async function endsOf(conn: Conn): Promise<unknown[]> {
  let timer!: NodeJS.Timeout;
  const soon = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, SOON_MS, undefined);
  });
  // Our close frame is out: none of them waits for longer than the connection lasts.
  const ends = [
    conn.closed.then(({ error }) => error),
    failureOf(conn.readMessage()),
    failureOf(conn.send('')),
  ];
  const known = await Promise.all(ends.map((end) => Promise.race([end, soon])));
  clearTimeout(timer);
  return known;
}

function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}
