import { type BrowserConnBounds, checkConnOptions } from '@ws/browser/internal';
import { AllowedOrigins, type SameHost } from '@ws/codec';
import type { Conn, ConnLike, ReportContext } from '@ws/conn';
import {
  type Admission,
  badType,
  bound,
  checkNames,
  type optionHint,
  type ResponseRefusal,
} from '@ws/conn/internal';

/**
 * A connection of a server: a `Conn` on Node, the runtime's own WebSocket with the same methods on
 * Bun, Deno and Workers. `docs/fetch.md` has the table of what each runtime lacks. A method that is
 * missing throws, or rejects with, an UnsupportedError.
 *
 * @typeParam Data - The type of `data`, what `authenticate` has admitted.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export type ServerConn<Data = any> = ConnLike<Data> &
  Pick<Conn<Data>, 'remoteAddr' | 'ping' | 'setPingHandler' | 'setPongHandler'>;

/** The second argument of an {@link UpgradeHandler}. */
export interface UpgradeContext<Auth = unknown> {
  /** What `authenticate` has admitted; `true` without that option. */
  readonly auth: Auth;
  /** The request of the handshake. */
  readonly request: Request;
}

/**
 * Runs one connection. When it throws or its promise rejects, the connection closes with 1011 and
 * `report` gets the error. The connection stays open when it returns.
 */
export type UpgradeHandler<Auth = unknown> = (
  conn: ServerConn<Auth>,
  context: UpgradeContext<Auth>,
  /** The context again: `ctx` of the listeners of a Hub. */
  ctx: UpgradeContext<Auth>,
) => unknown;

/** Headers as a Response takes them. */
export type HeadersLike = Headers | [string, string][] | Record<string, string>;

/** A result of `authenticate` that refuses the request. */
export interface Refusal {
  /** The HTTP status, 300 to 599; `true` for 401. */
  readonly refuse: number | true;
  /** Headers of the answer, `WWW-Authenticate` for example. Default: none. */
  readonly headers?: HeadersLike | undefined;
  /** Plain text. Default: the message of the refusal. */
  readonly body?: string | undefined;
}

/**
 * What `authenticate` may return. `true` and the result of `admit` admit; everything else refuses:
 * `false`, null and undefined with 401.
 */
export type AdmitOrRefuse =
  | boolean
  | null
  | undefined
  | Admission<unknown>
  | Refusal
  | ResponseRefusal;

/** The second argument of `report`. */
export interface FetchReportContext extends ReportContext {
  /** The request of the handshake, for the functions that run before there is a connection. */
  readonly request?: Request | undefined;
}

/** The option `report`. */
export type FetchReport = (error: unknown, context: FetchReportContext) => void;

/** Options of `upgrade`. */
export interface UpgradeOptions<Result extends AdmitOrRefuse = true> {
  /**
   * The second argument of your `fetch`, which Bun needs when it calls your `fetch` itself, without
   * the wrapper `bun`. Others ignore it.
   */
  readonly server?: unknown;
  /**
   * Decides who may connect; may be async. Only `true` and the result of `admit` admit: the data of
   * `admit` becomes `auth`. `false`, null and undefined refuse with 401, a {@link Refusal}, as of
   * `refuse`, with its own status, `refuse(response)` with that Response. An error refuses with 500 and goes to `report`,
   * unless it has `expose: true` and a `status` from 400 to 499. Everything else is a mistake: 500, and
   * a report.
   *
   * With `admit(auth, { expires })` the connection closes when the login expires. Only Node can do
   * that: other runtimes refuse it with 500.
   *
   * `signal` is aborted after `handshakeTimeout` and, on Node and Bun, when the client has left.
   * Do not use `request.signal`: Deno aborts it at once, and Workers never do.
   */
  readonly authenticate?:
    | ((
        request: Request,
        context: { readonly signal: AbortSignal },
      ) => Result | PromiseLike<Result>)
    | undefined;
  /**
   * Origins that may connect in addition to the same host: `https://app.example.org`,
   * `https://*.example.org`, `null`. Default: none.
   */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Which pages of the host of the request may connect: see `Upgrader`. Default: `true`. */
  readonly sameHost?: SameHost | undefined;
  /**
   * Supported subprotocols in the order of preference. Without an offered one, none is chosen.
   * Default: none.
   */
  readonly subprotocols?: readonly string[] | undefined;
  /** Headers of the accepting answer, `Set-Cookie` for example. Default: none. */
  readonly headers?: HeadersLike | undefined;
  /**
   * The time of `authenticate` in ms, then 503; `false` for no bound. Default: 10,000. On Node, the
   * option of that name of `serveFetch` bounds your whole `fetch`, too.
   */
  readonly handshakeTimeout?: number | false | undefined;
  /**
   * The longest message that is accepted, in bytes. A longer one closes with 1009. Deno takes at most
   * 64 MiB, Workers 32 MiB, Bun its `maxPayloadLength`. Node takes `false` for no limit. Default: 1 MiB.
   */
  readonly readLimit?: number | false | undefined;
  /**
   * The most bytes of messages that wait for a read on Deno and Workers, which cannot pause a
   * connection, with 320 for each message. More close with 1013. Node and Bun pause. Default: 16 MiB.
   */
  readonly maxQueuedBytes?: number | false | undefined;
  /** A write resolves below this many buffered bytes. Default: 64 KiB. */
  readonly highWaterMark?: number | undefined;
  /**
   * The most bytes that wait to be sent. A write that exceeds it rejects with a BackpressureError.
   * Default: 16 MiB.
   */
  readonly maxBufferedAmount?: number | false | undefined;
  /**
   * Gets the errors of your functions, each once. Default: `console.error`, for one error of a kind a
   * second; on Node, as of `serve`.
   */
  readonly report?: FetchReport | undefined;
}

/** The names of {@link UpgradeOptions}. */
const UPGRADE_OPTION_NAMES: readonly (keyof UpgradeOptions)[] = [
  'server',
  'authenticate',
  'allowedOrigins',
  'sameHost',
  'subprotocols',
  'headers',
  'handshakeTimeout',
  'readLimit',
  'maxQueuedBytes',
  'highWaterMark',
  'maxBufferedAmount',
  'report',
];

/** The options of `upgrade`, checked. */
export interface Plan {
  readonly options: UpgradeOptions<AdmitOrRefuse>;
  readonly bounds: BrowserConnBounds;
  readonly origins: AllowedOrigins;
  /** In ms; Infinity for no bound. */
  readonly handshakeTimeout: number;
}

const MIB = 2 ** 20;

/**
 * @param maxMessage - The longest message that the runtime takes, in bytes.
 * @param hintOf - `optionHint`, where its table costs nothing. Default: the known options.
 * @throws TypeError, RangeError that names the option.
 */
export function checkUpgradeOptions(
  options: UpgradeOptions<AdmitOrRefuse>,
  maxMessage: number,
  hintOf?: typeof optionHint,
): Plan {
  checkNames('upgrade', options, UPGRADE_OPTION_NAMES, 'reject', hintOf);
  const {
    readLimit = Math.min(MIB, maxMessage),
    authenticate,
    report,
    allowedOrigins = [],
    subprotocols = [],
    handshakeTimeout = 10_000,
    sameHost = true,
  } = options;
  const bounds = checkConnOptions({ ...options, readLimit });
  checkReadLimit('readLimit', bounds.readLimit, maxMessage);
  for (const [name, value] of Object.entries({ authenticate, report })) {
    if (value !== undefined && typeof value !== 'function') {
      throw badType(`${name}: expected a function`, value);
    }
  }
  if (![true, false, 'https'].includes(sameHost)) {
    throw new TypeError(`sameHost: expected true, false or 'https', got ${String(sameHost)}`);
  }
  for (const [name, list] of Object.entries({ allowedOrigins, subprotocols })) {
    if (!Array.isArray(list)) throw badType(`${name}: expected a list`, list);
  }
  for (const name of subprotocols) {
    if (!TOKEN.test(name)) throw new TypeError(`subprotocols: ${name} is not a token`);
  }
  return {
    options,
    bounds,
    origins: new AllowedOrigins(allowedOrigins, sameHost),
    handshakeTimeout: bound('handshakeTimeout', handshakeTimeout),
  };
}

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;

/** @throws RangeError that names the most that the runtime takes. */
export function checkReadLimit(name: string, bytes: number, maxMessage: number): void {
  if (bytes <= maxMessage) return;
  throw new RangeError(
    `${name}: expected at most ${maxMessage}, the longest message that this runtime takes (on Bun, the option maxPayloadLength); got ${bytes}`,
  );
}
