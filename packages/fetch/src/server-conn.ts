import { type PageSocket, type Side, UnsupportedError, WebSocketConn } from '@ws/browser/internal';
import { BackpressureError, type Role, WebSocketError } from '@ws/conn';
import { bound, type ConnInternals, whole } from '@ws/conn/internal';
import type { Mark } from './fetch-call.ts';
import { checkReadLimit, type Plan } from './options.ts';
import { reportTo } from './reports.ts';

/** Operations that differ between runtimes. */
export interface SocketRuntime extends Pick<Side, 'turns'> {
  /** The longest message that it takes, in bytes. */
  readonly maxMessage: number;
}

/** The methods of a Conn over the WebSocket of a server's runtime. */
export class SocketConn extends WebSocketConn {
  /** No runtime knows it. */
  declare readonly localAddr: undefined;
  readonly #maxMessage: number;
  readonly #report: (error: unknown, where: string) => void;
  readonly #address: string | undefined;

  /** @param address - The client's, if it is known. */
  constructor(
    socket: PageSocket,
    { options, bounds }: Plan,
    { maxMessage, turns }: SocketRuntime,
    address: string | undefined,
  ) {
    const report = (error: unknown, where = 'upgrade'): void =>
      reportTo(options.report, error, { where, conn: this });
    super(socket, { ...bounds, ...SERVER, report, turns });
    this.#maxMessage = maxMessage;
    this.#report = report;
    this.#address = address;
  }

  get role(): Role {
    return 'server';
  }

  /** The client's address; undefined when the runtime does not know it. */
  get remoteAddr(): string | undefined {
    return this.#address;
  }

  /** @throws UnsupportedError */
  toStreams(): never {
    throw new UnsupportedError('toStreams');
  }

  /** A function of the application has failed. */
  failed(error: unknown, where: string): void {
    this.#report(error, where);
    void this['@ws/internals'].closeAfterError(error);
  }

  /** @internal */
  override get '@ws/internals'(): Pick<
    ConnInternals,
    'closed' | 'closeAfterError' | 'untilWritable' | 'report' | 'observeWrites'
  > {
    return {
      ...super['@ws/internals'],
      closed: this.closed,
      report: this.#report,
      observeWrites: (observer) => {
        const { onStop } = this.writes;
        const observe = (): void => queueMicrotask(() => observer(this));
        if (this.state !== 'open') return observe();
        this.writes.onStop = () => {
          onStop();
          observe();
        };
      },
    };
  }

  override setReadLimit(bytes: number | false): void {
    checkReadLimit('setReadLimit', bound('setReadLimit', bytes), this.#maxMessage);
    super.setReadLimit(bytes);
  }
}

/** Options in which a server differs from a page. */
export const SERVER: Omit<Side, 'report' | 'turns'> = {
  errorCloseCode: (error) => (error instanceof BackpressureError ? 1013 : 1011),
  // Not 1008, after which a reconnecting client never comes back.
  queueCloseCode: 1013,
  limitCloseCode: 1009,
  breaksOnGoingAway: false,
  checkCode(code) {
    // RFC 6455, section 7.4: 1004 to 1006 and 1015 are never sent.
    const [least, most] = code > 2999 ? [3000, 4999] : code > 1003 ? [1007, 1014] : [1000, 1003];
    whole('close: code', code, least, most);
  },
  note: '',
};

/**
 * Runs the handler of a connection. The promise settles after both have ended. It never rejects,
 * since the runtime would end the process or print the error.
 */
export async function run(
  conn: SocketConn,
  { handler, auth, request }: Pick<Mark, 'handler' | 'auth' | 'request'>,
): Promise<void> {
  conn.data = auth;
  try {
    const context = { auth, request };
    await handler(conn, context, context);
  } catch (error) {
    // The end of the connection is no fault of the handler.
    const isEnd = conn.state !== 'open' && error instanceof WebSocketError;
    if (!isEnd) conn.failed(error, 'handler');
  }
  await conn.closed;
}
