import type { IncomingMessage } from 'node:http';
import { isThenable, kind } from '@ws/conn/internal';
import { serverFault, unexpectedResult } from '@ws/node-server/internal';
import { ProxyError } from '../errors.ts';
import { BALANCES, type BalanceName, stickyChoice } from './balance.ts';
import { assignableStateOf, Backend, stateOf, type Target, type TargetState } from './target.ts';

/** What the functions of a proxy get beside the request. */
export interface ProxyContext<Auth = unknown> {
  /** What `authenticate` has admitted; undefined without that option. */
  readonly auth: Auth;
  /** Aborts when the client has left or `handshakeTimeout` is over. */
  readonly signal: AbortSignal;
}

/** Chooses the target of each request. It may be async. */
export type TargetFunction = (
  req: IncomingMessage,
  context: ProxyContext,
) => Target | PromiseLike<Target>;

/** The option `balance`. */
export type Balance<Auth = unknown> =
  | BalanceName
  | ((
      req: IncomingMessage,
      targets: readonly TargetState[],
      context: ProxyContext<Auth>,
    ) => TargetState);

/** The options that decide between targets. */
export interface PoolPlan {
  readonly balance: Balance;
  readonly sticky:
    | ((req: IncomingMessage, context: ProxyContext) => string | undefined)
    | undefined;
  /** In milliseconds. */
  readonly cooldown: number;
}

/** The targets that the application has named. Nothing else is dialed. */
export class TargetPool {
  readonly #plan: PoolPlan;
  readonly #choose: TargetFunction | undefined;
  #backends: readonly Backend[] = [];
  /** The targets that have connections now, by URL. A list may lack them: they were replaced. */
  readonly #open = new Map<string, Backend>();

  /** @throws TypeError, RangeError or SyntaxError that names the fault. */
  constructor(target: string | URL | readonly Target[] | TargetFunction, plan: PoolPlan) {
    this.#plan = plan;
    if (typeof target === 'function') this.#choose = target;
    else this.replace(typeof target === 'string' || target instanceof URL ? [target] : target);
  }

  get backends(): readonly TargetState[] {
    if (this.#choose === undefined) return this.#backends.map(assignableStateOf);
    // Headers and TLS options belong to one request, so these objects lack them.
    return [...this.#open.values()].map(stateOf);
  }

  /**
   * Replaces the targets. A target that stays, or that still has connections, keeps its counts.
   *
   * @throws TypeError, RangeError or SyntaxError that names the fault. Nothing has changed then.
   */
  replace(targets: readonly Target[]): void {
    if (this.#choose !== undefined) {
      throw new TypeError('targets: cannot be replaced, a function chooses them');
    }
    if (!Array.isArray(targets)) {
      throw new TypeError(`target: expected a URL, a list or a function, got ${kind(targets)}`);
    }
    if (targets.length === 0) throw new TypeError('target: the list is empty; name at least one');
    const backends = targets.map((each: Target) => new Backend(each));
    const twice = backends.find((each, i) => backends.findIndex(sameAs(each)) !== i);
    if (twice !== undefined)
      throw new TypeError(`target: ${twice.url} is listed twice; use weight`);
    this.#backends = backends.map((each) => this.#known(each));
  }

  #known(backend: Backend): Backend {
    const before = this.#backends.find(sameAs(backend)) ?? this.#open.get(backend.url);
    if (before !== undefined) backend.continueFrom(before);
    return backend;
  }

  /** Whether a target may be tried that was not. A function is asked once for each request. */
  hasOther(tried: readonly Backend[]): boolean {
    return this.#choose === undefined && this.#untried(tried).length > 0;
  }

  /**
   * Chooses the target of a request.
   *
   * @param tried - Targets that have failed for this request.
   * @throws ProxyError 503 when none is up or may be dialed; HandshakeError 500 for a fault of the
   *   application.
   */
  choose(
    req: IncomingMessage,
    tried: readonly Backend[],
    context: ProxyContext,
  ): Backend | Promise<Backend> {
    if (this.#choose !== undefined) return this.#called(this.#choose, req, context);
    return this.#chosen(req, this.#untried(tried), context);
  }

  /**
   * Returns false if another request dials the target. One that a function has chosen is always
   * dialed.
   *
   * @param context - End the dial with it.
   */
  startDial(backend: Backend, context: ProxyContext): boolean {
    return this.#choose !== undefined || backend.startDial(context);
  }

  #chosen(req: IncomingMessage, some: readonly Backend[], context: ProxyContext): Backend {
    if (some.length === 0) throw noneFree();
    const key = this.#stickyKey(req, context);
    if (key !== undefined) return stickyChoice(some, key);
    if (some.length === 1) return some[0]!;
    const { balance } = this.#plan;
    if (typeof balance === 'function') return balanced(balance, req, some, context);
    return BALANCES[balance](some);
  }

  /** Counts a handshake with `backend`, until {@link leave}. */
  enter(backend: Backend): void {
    // Only the counts are shared: headers and TLS options of a function's target are those of one request.
    const before = this.#open.get(backend.url);
    if (before !== undefined) backend.continueFrom(before);
    this.#open.set(backend.url, backend);
    backend.enter();
    // After too many failures, one request in each cooldown asks the target, until it answers.
    if (this.hasOther([backend])) backend.coolDown(this.#plan.cooldown);
  }

  leave(backend: Backend): void {
    backend.leave();
    if (backend.open === 0) this.#open.delete(backend.url);
  }

  /** The targets that are up and may be dialed; if there is none, the others that may be dialed. */
  #untried(tried: readonly Backend[]): Backend[] {
    const free = this.#backends.filter(({ mayBeDialed }) => mayBeDialed);
    const up = free.filter(({ state }) => state === 'up');
    const some = up.length === 0 ? free : up;
    // By URL: the targets may have been replaced since.
    return some.filter((each) => !tried.some(sameAs(each)));
  }

  #stickyKey(req: IncomingMessage, context: ProxyContext): string | undefined {
    const { sticky } = this.#plan;
    if (sticky === undefined) return undefined;
    let key: unknown;
    try {
      key = sticky(req, context);
    } catch (cause) {
      throw serverFault('sticky', cause);
    }
    if (key === undefined || typeof key === 'string') return key;
    throw serverFault('sticky', unexpectedResult('sticky', 'a string or undefined', key));
  }

  async #called(
    choose: TargetFunction,
    req: IncomingMessage,
    context: ProxyContext,
  ): Promise<Backend> {
    try {
      return new Backend(await choose(req, context));
    } catch (cause) {
      throw serverFault('target', cause);
    }
  }
}

export function noneFree(): ProxyError {
  const message = 'no target is up, and another request dials each of them';
  return new ProxyError('WS_ERR_PROXY_TARGET', 503, message);
}

/** Only a target of the list is dialed, whatever the function returns. */
function balanced(
  balance: Extract<Balance, (...args: never) => unknown>,
  req: IncomingMessage,
  up: readonly Backend[],
  context: ProxyContext,
): Backend {
  let chosen: Partial<TargetState> | undefined;
  try {
    chosen = balance(req, up.map(stateOf), context);
  } catch (cause) {
    throw serverFault('balance', cause);
  }
  if (isThenable(chosen))
    throw serverFault('balance', unexpectedResult('balance', 'a target', chosen));
  const backend = up.find(({ url }) => url === urlOf(chosen));
  if (backend !== undefined) return backend;
  const fault = new TypeError('balance: expected one of the targets that it got');
  throw serverFault('balance', fault);
}

function urlOf(chosen: unknown): string | undefined {
  if (typeof chosen === 'string') return chosen;
  if (chosen instanceof URL) return chosen.href;
  return (chosen as Partial<TargetState> | null | undefined)?.url;
}

function sameAs({ url }: Backend): (other: Backend) => boolean {
  return (other) => other.url === url;
}
