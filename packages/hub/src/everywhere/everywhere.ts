import { asyncContexts, kind, onRejection } from '@ws/conn/internal';
import { checkText, MAX_QUESTION_NAME } from '../arguments.ts';
import type { LocalHub } from '../backplane/local-hub.ts';
import type { JSONValue } from '../presence/room-presence.ts';
import type { EverywhereCalls } from './everywhere-calls.ts';

/** A listener of `hub.onAsk`. */
export type AskListener = (data: JSONValue) => unknown;

/** The options of {@link Everywhere.ask}. */
export interface AskOptions {
  /** Ms after which a node without an answer counts as silent. Default: 5,000. */
  readonly timeout?: number | undefined;
}

/**
 * Acts on all nodes of a backplane, including this one. Without a backplane this node is the only one.
 * In its first 5 s, a hub does not know the other nodes yet: a call waits until then.
 *
 * `silent` in a result has the ids of nodes that have not answered in time: 5 s by default. A node that
 * has sent no word for 15 s no longer counts. All methods reject with a {@link HubClosedError} when the
 * hub closes, and with a {@link BackplaneError} if the engine does not start within 10 s. If no code
 * awaits a rejection, the event `error` reports it, and it is not reported as unhandled.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { Hub } from '@ws/hub';
 *
 * const hub = new Hub();
 * const [, server] = connPair();
 * await hub.add(server, { id: 'ada' }).join('lobby');
 * const { sessions } = await hub.everywhere.count('lobby');
 * console.log(sessions); // 1
 * await hub.everywhere.close({ session: 'ada' }, 1008, 'logged out');
 * ```
 */
export class Everywhere {
  readonly #hub: LocalHub;
  /** The calls without a backplane; undefined before the first one. */
  #calls: EverywhereCalls | undefined;

  /** @internal */
  constructor(hub: LocalHub) {
    this.#hub = hub;
  }

  /**
   * Counts the members of a room.
   *
   * @returns `sessions`: the members on the nodes that have answered; `nodes`: the number of these nodes.
   * @throws (rejects) TypeError, RangeError for an invalid name.
   */
  count(
    room: string,
  ): Promise<{ readonly sessions: number; readonly nodes: number; readonly silent: string[] }> {
    return this.#call((calls) => calls.count(room));
  }

  /**
   * Closes the sessions in a room, or the sessions with an id, as `Session.close` does.
   *
   * @param code - Default: 1000.
   * @returns `sessions`: number of open sessions that were closed. The call does not wait for their ends.
   * @throws (rejects) TypeError, RangeError for a target without `room` or `session`, and for an
   *   invalid name, code or reason.
   */
  close(
    target: { readonly room: string } | { readonly session: string },
    code?: number,
    reason?: string,
  ): Promise<{ readonly sessions: number; readonly silent: string[] }> {
    return this.#call((calls) => calls.close(target, code, reason));
  }

  /**
   * On each node, calls the listener of `hub.onAsk` with this name.
   *
   * @param data - JSON, at most 64 KiB. The listener gets a copy.
   * @returns Maps by id of the node. `answers`: the results of the listeners. `failed`: for a listener
   *   that failed, the class of its error; for a node without a listener, `no listener`.
   * @throws (rejects) TypeError, RangeError for an invalid name, data or option; {@link OverflowError}
   *   while 1,000 calls wait for answers.
   */
  ask(
    name: string,
    data?: unknown,
    options?: AskOptions,
  ): Promise<{
    readonly answers: Map<string, JSONValue>;
    readonly failed: Map<string, string>;
    readonly silent: string[];
  }> {
    return this.#call((calls) => calls.ask(name, data, options));
  }

  /** Runs a call. Its code comes with the code of the backplane. Without a backplane, loads the code. */
  #call<T>(use: (calls: EverywhereCalls) => Promise<T>): Promise<T> {
    const result =
      this.#hub.withLink((link) => use(link.others.calls)) ?? this.#callsAlone().then(use);
    // The application may not await the result.
    onRejection(result, (error) => this.#hub.refused(error, 'calls of everywhere failed'));
    return result;
  }

  async #callsAlone(): Promise<EverywhereCalls> {
    const { EverywhereCalls } = await import('./everywhere-calls.ts');
    this.#calls ??= new EverywhereCalls(this.#hub);
    return this.#calls;
  }
}

export function addAskListener(
  { askListeners }: LocalHub,
  name: string,
  listener: AskListener,
): () => void {
  checkText('hub.onAsk', name, 1, MAX_QUESTION_NAME);
  if (typeof listener !== 'function') {
    throw new TypeError(`hub.onAsk: expected a function, got ${kind(listener)}`);
  }
  if (askListeners.has(name)) {
    throw new TypeError(`hub.onAsk: ${JSON.stringify(name)} has a listener already`);
  }
  const bound = asyncContexts.bind((data: JSONValue) => listener(data));
  askListeners.set(name, bound);
  return () => {
    if (askListeners.get(name) === bound) askListeners.delete(name);
  };
}
