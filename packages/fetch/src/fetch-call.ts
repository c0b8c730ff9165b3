import type { Agreement } from './handshake.ts';
import type { FetchReport, UpgradeHandler } from './options.ts';
import { reportOnce } from './reports.ts';
import { copyResponse } from './responses.ts';

/** A handshake that was accepted, until the wrapper of the runtime makes the connection. */
export interface Mark extends Agreement {
  readonly handler: UpgradeHandler;
  /** Headers of the accepting answer: those of the option, and of the middleware. */
  readonly headers: readonly (readonly [string, string])[];
}

/** What a wrapper knows of its server. */
export interface Wrapper {
  /** The longest message that the server takes, in bytes. */
  readonly maxMessage: number;
  /** Gets the errors of `fetch`. Default: `console.error`. */
  readonly report?: FetchReport | undefined;
  /** Whether an error of `fetch` is that of a client that has left: it is not reported. */
  readonly hasLeft: (request: Request, error: unknown) => boolean;
  /** The functions `report`, and wrappers, that got the error of a Response that was not returned. */
  readonly reportedTo: WeakSet<object>;
}

/** Frameworks copy Responses, with their headers; a WeakMap of Responses would lose the copies. */
const HEADER = 'x-ws-upgrade';
/** Frameworks also copy headers to a Response that refuses, so the mark needs the status too. */
const STATUS = 204;

/** Headers of the connection, which the application's Response does not decide. */
const OWN_HEADERS =
  /^(connection|upgrade|keep-alive|content-|transfer-encoding|sec-websocket-|x-ws-upgrade$)/;

const calls = /* @__PURE__ */ new WeakMap<Request, FetchCall>();
/**
 * The calls that have not returned. Frameworks copy Requests, with their headers. Some clients always
 * send the same key, so a key may have several calls: they share their marks.
 */
const running = /* @__PURE__ */ new Map<string, FetchCall[]>();

/** The call of a wrapper in which `request`, or a copy of it, is answered. */
export function callOf(request: Request): FetchCall | undefined {
  return calls.get(request) ?? running.get(keyOf(request))?.[0];
}

/** The host too: two servers of a process are two. */
function keyOf({ headers }: Request): string {
  return `${headers.get('sec-websocket-key')} ${headers.get('host')}`;
}

/** One call of the application's `fetch` by a wrapper, for a request to upgrade. */
export class FetchCall {
  readonly wrapper: Wrapper;
  /** Calls of `upgrade`. */
  upgrades = 0;
  readonly #request: Request;
  readonly #marks: Map<string, Omit<Mark, 'headers'>>;
  /** Whether `fetch` has answered with something that is no refusal. */
  #hasAnswered = false;

  constructor(request: Request, wrapper: Wrapper) {
    this.#request = request;
    this.wrapper = wrapper;
    calls.set(request, this);
    const key = keyOf(request);
    const others = running.get(key) ?? [];
    const [other] = others;
    this.#marks = other ? other.#marks : new Map();
    running.set(key, [...others, this]);
  }

  /** `fetch` has returned. */
  stop(): void {
    const key = keyOf(this.#request);
    const others = running.get(key)!.filter((call) => call !== this);
    if (others.length > 0) running.set(key, others);
    else running.delete(key);
  }

  /** Returns the Response of an accepted handshake, for {@link takeMark}. */
  mark(agreement: Agreement, handler: UpgradeHandler): Response {
    const { headers: given, report } = agreement.plan.options;
    const id = crypto.randomUUID();
    if (this.#hasAnswered) this.#forgotten(report);
    else this.#marks.set(id, { ...agreement, handler });
    const headers = new Headers(given);
    headers.set(HEADER, id);
    return new Response(null, { status: STATUS, headers });
  }

  /** The mark with an id. It is valid once, in its own call. */
  found(id: string): Omit<Mark, 'headers'> | undefined {
    const mark = this.#marks.get(id);
    this.#marks.delete(id);
    return mark;
  }

  /** `fetch` has answered with `status`, without a mark. Middleware may refuse after `upgrade`. */
  answered(status: number): void {
    this.#hasAnswered = status < 300;
    const [forgotten] = this.#marks.values();
    const isOwn = running.get(keyOf(this.#request))?.length === 1;
    if (this.#hasAnswered && forgotten && isOwn) this.#forgotten(forgotten.plan.options.report);
  }

  /** Reports once that a Response of `upgrade` was not returned. */
  #forgotten(report: FetchReport | undefined): void {
    const { reportedTo, report: common } = this.wrapper;
    const error = new TypeError(
      'the Response of upgrade() was not returned from fetch, so the client was not upgraded; write return upgrade(...)',
    );
    const context = { where: 'fetch', request: this.#request };
    reportOnce(reportedTo, report ?? this.wrapper, report ?? common, error, context);
  }
}

/**
 * Reads the Response that `fetch` has returned.
 *
 * @param call - Undefined for a request that asks for no WebSocket: no mark is valid for it.
 * @returns The mark; the Response when it has none, or another status.
 * @throws TypeError for a mark that is not valid.
 */
export function takeMark(call: FetchCall | undefined, response: Response): Mark | Response {
  const id = response.headers.get(HEADER);
  if (id === null || response.status !== STATUS) {
    call?.answered(response.status);
    return id === null ? response : withoutMark(response);
  }
  const found = call?.found(id);
  if (found === undefined) {
    throw new TypeError(
      'the Response of upgrade() was returned twice, or for another request; call upgrade() for each request',
    );
  }
  const headers = [...response.headers].filter(([name]) => !OWN_HEADERS.test(name));
  return { ...found, headers };
}

function withoutMark(response: Response): Response {
  // The headers of a fetched Response are immutable.
  const copy = copyResponse(response, response.body);
  copy.headers.delete(HEADER);
  return copy;
}
