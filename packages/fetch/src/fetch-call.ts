import type { Agreement } from './handshake.ts';
import type { FetchReport, UpgradeHandler } from './options.ts';
import { reportOnce } from './reports.ts';
import { copyResponse } from './responses.ts';

/** A handshake that was accepted, until the wrapper of the runtime makes the connection. */
export interface Mark extends Agreement {
  readonly handler: UpgradeHandler;
  /** Headers of the accepting answer, from the option and the middleware. */
  readonly headers: readonly (readonly [string, string])[];
}

/** A wrapper's knowledge of its server. */
export interface Wrapper {
  /** The longest message that the server takes, in bytes. */
  readonly maxMessage: number;
  /** Gets the errors of `fetch`. Default: `console.error`. */
  readonly report?: FetchReport | undefined;
  /** Whether `fetch` failed because its client has left. Such an error is not reported. */
  readonly hasLeft: (request: Request, error: unknown) => boolean;
  /** Whether its connections can end with a login. Default: false. */
  readonly canExpire?: boolean;
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
/** The calls that have not returned, by key. Frameworks copy Requests, with their headers. */
const running = /* @__PURE__ */ new Map<string, SameKey>();

/** The call of `fetch` around `upgrade`. */
export type UpgradingCall = Pick<FetchCall, 'wrapper' | 'upgrades' | 'mark'>;

type StoredMark = Omit<Mark, 'headers'>;

/** The call of a wrapper in which `request`, or a copy of it, is answered. */
export function callOf(request: Request): UpgradingCall | undefined {
  const same = running.get(keyOf(request));
  return calls.get(request) ?? same?.only ?? same;
}

/** The host too: two servers of a process are two. */
function keyOf({ headers }: Request): string {
  return `${headers.get('sec-websocket-key')} ${headers.get('host')}`;
}

/**
 * The running calls with one key. Some clients always send the same one: then a copy of a Request may
 * belong to each of the calls, and its mark is valid for all of them.
 */
class SameKey implements UpgradingCall {
  upgrades = 0;
  /** In the order of their numbers. */
  readonly #calls = new Set<FetchCall>();
  /** With the number of the newest call that may own the mark. */
  readonly #marks = new Map<string, { readonly mark: StoredMark; readonly newest: number }>();
  #started = 0;

  get #oldest(): FetchCall {
    return this.#calls.values().next().value!;
  }

  get only(): FetchCall | undefined {
    return this.#calls.size === 1 ? this.#oldest : undefined;
  }

  get wrapper(): Wrapper {
    return this.#oldest.wrapper;
  }

  /** @returns The number of the call. */
  start(call: FetchCall): number {
    this.#calls.add(call);
    return this.#started++;
  }

  /** @returns Whether no call is left. */
  stop(call: FetchCall): boolean {
    this.#calls.delete(call);
    const isLast = this.#calls.size === 0;
    const oldest = isLast ? Infinity : this.#oldest.number;
    for (const [id, { newest }] of this.#marks) {
      if (newest >= oldest) break;
      this.#marks.delete(id);
    }
    return isLast;
  }

  mark(agreement: Agreement, handler: UpgradeHandler): Response {
    return markResponse(agreement, (id) => {
      this.#marks.set(id, { mark: { ...agreement, handler }, newest: this.#started - 1 });
    });
  }

  found(id: string): StoredMark | undefined {
    const found = this.#marks.get(id)?.mark;
    this.#marks.delete(id);
    return found;
  }
}

/** One call of the application's `fetch` by a wrapper, for a request to upgrade. */
export class FetchCall {
  readonly wrapper: Wrapper;
  readonly number: number;
  /** Calls of `upgrade`. */
  upgrades = 0;
  readonly #request: Request;
  readonly #same: SameKey;
  readonly #marks = new Map<string, StoredMark>();
  /** Whether `fetch` has answered with something that is no refusal. */
  #hasAnswered = false;

  constructor(request: Request, wrapper: Wrapper) {
    this.#request = request;
    this.wrapper = wrapper;
    calls.set(request, this);
    const key = keyOf(request);
    this.#same = running.get(key) ?? new SameKey();
    running.set(key, this.#same);
    this.number = this.#same.start(this);
  }

  /** `fetch` has returned. */
  stop(): void {
    if (this.#same.stop(this)) running.delete(keyOf(this.#request));
  }

  /** Returns the Response of an accepted handshake, for {@link takeMark}. */
  mark(agreement: Agreement, handler: UpgradeHandler): Response {
    return markResponse(agreement, (id) => {
      if (this.#hasAnswered) this.#forgotten(agreement.plan.options.report);
      else this.#marks.set(id, { ...agreement, handler });
    });
  }

  /** The mark with an id. It is valid once, in its own call. */
  found(id: string): StoredMark | undefined {
    const mark = this.#marks.get(id);
    this.#marks.delete(id);
    return mark ?? this.#same.found(id);
  }

  /** `fetch` has answered with `status`, without a mark. Middleware may refuse after `upgrade`. */
  answered(status: number): void {
    this.#hasAnswered = status < 300;
    const [forgotten] = this.#marks.values();
    if (this.#hasAnswered && forgotten) this.#forgotten(forgotten.plan.options.report);
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

/** @param keep - Keeps the mark under an id. */
function markResponse({ plan }: Agreement, keep: (id: string) => void): Response {
  const id = crypto.randomUUID();
  keep(id);
  const headers = new Headers(plan.options.headers);
  headers.set(HEADER, id);
  return new Response(null, { status: STATUS, headers });
}

/**
 * Reads the Response that `fetch` has returned.
 *
 * @param call - Undefined for a request that asks for no WebSocket. No mark is valid for it.
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
