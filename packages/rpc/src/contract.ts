import type { BorrowedMessage, ConnLike, SchemaOutput, StandardSchema } from '@ws/conn';
import {
  CallPromise,
  checkOptionNames,
  isConnLike,
  kind,
  rejected,
  whole,
} from '@ws/conn/internal';
import type { CallOptions } from './calls.ts';
import {
  Carrier,
  isReconnecting,
  isSession,
  type ReconnectingConnLike,
  type SessionLike,
} from './carrier.ts';
import {
  type Definition,
  type Definitions,
  type Event,
  type Method,
  type Named,
  named,
  type Stream,
} from './definitions.ts';
import { type ContractVersion, checkVersion, SeenVersion, type ServerVersion } from './hello.ts';
import {
  type Binding,
  connectConn,
  connectSeries,
  type End,
  includesNames,
  type Link,
  linkOf,
  linkOfSession,
  type Names,
  serveConn,
} from './link.ts';
import type { Handler, Request } from './request.ts';
import type { SchemaInput } from './schema.ts';
import type { StreamCode } from './stream.ts';

/** The peer of a connection: a function for each method, event and stream that the peer handles. */
export type Peer<D extends Definitions> = {
  readonly [K in keyof D]: D[K] extends Method<infer I, infer O>
    ? CallOf<I, (input: SchemaInput<I>, options?: CallOptions) => Promise<SchemaOutput<O>>>
    : D[K] extends Event<infer I>
      ? CallOf<I, (input: SchemaInput<I>) => Promise<void>>
      : D[K] extends Stream<infer I, infer T>
        ? CallOf<
            I,
            (input: SchemaInput<I>, options?: CallOptions) => AsyncIterableIterator<SchemaOutput<T>>
          >
        : never;
};

/** If the input may be undefined, the argument is optional. */
type CallOf<I extends StandardSchema, F> =
  undefined extends SchemaInput<I>
    ? F extends (input: infer Input, ...rest: infer Rest) => infer Result
      ? (input?: Input, ...rest: Rest) => Result
      : never
    : F;

/** A function for each method, event and stream of this end. */
export type Handlers<D extends Definitions, Context> = {
  readonly [K in keyof D]: D[K] extends Method<infer I, infer O>
    ? (input: SchemaOutput<I>, context: Context) => SchemaInput<O> | PromiseLike<SchemaInput<O>>
    : D[K] extends Event<infer I>
      ? (input: SchemaOutput<I>, context: Context) => unknown
      : D[K] extends Stream<infer I, infer T>
        ? (
            input: SchemaOutput<I>,
            context: Context,
          ) => AsyncIterable<SchemaInput<T>> | PromiseLike<AsyncIterable<SchemaInput<T>>>
        : never;
};

/** The option `handlers` beside a contract: required when the contract has names at this end. */
export type HandlersOption<D extends Definitions, Context> = keyof D extends never
  ? { readonly handlers?: Handlers<D, Context> }
  : { readonly handlers: Handlers<D, Context> };

/** The second argument of a handler. */
export interface HandlerContext<P> {
  /** Calls the other end of this connection. */
  readonly peer: P;
  /** Aborts when the caller gives up, or the connection ends. */
  readonly signal: AbortSignal;
}

/** The second argument of a handler of a server. */
export interface ServerHandlerContext<Auth, P> extends HandlerContext<P> {
  /** What `authenticate` has admitted; for a session of a hub, its `data`. */
  readonly auth: Auth;
  /** The version of the client's contract; undefined if the client has told none. */
  readonly version: number | undefined;
}

/** The second argument of a handler of a hub. */
export interface SessionHandlerContext<S extends SessionLike, P>
  extends ServerHandlerContext<S['data'], P> {
  readonly session: S;
}

/** The options of `serve`, `listener` and `connect`. */
export interface HandlerOptions {
  /**
   * Number of handlers of one connection that run at the same time, with at most 4 MiB of messages, or
   * one larger. They start in the order of the messages. With 1, each starts after the end of the one
   * before. Default: 64.
   */
  readonly concurrency?: number | undefined;
  /**
   * Number of streams that this end serves to one connection at the same time. A cancelled stream
   * counts until its generator has ended. A request beyond the bound gets the error -32000. Unread
   * items of up to 32 streams take at most 256 KiB. Each further stream may add 8 KiB of text, or one
   * larger item. Default: 16.
   */
  readonly streams?: number | undefined;
}

/** The options of `connect`. */
export interface ConnectOptions extends HandlerOptions {
  /**
   * Called once when the server does not serve the version of this contract any more, with the version
   * of the server: load the application again. All calls reject with an {@link OutdatedError}, and a
   * ReconnectingConn ends with it. An error of this function is reported.
   */
  readonly onOutdated?: ((server: ServerVersion) => unknown) | undefined;
}

/** The methods, events and streams of both ends of a connection. {@link contract} creates it. */
export interface Contract<S extends Definitions, C extends Definitions> {
  /** The methods, events and streams that a server handles. */
  readonly server: Named<S>;
  /** The methods, events and streams that a client handles. */
  readonly client: Named<C>;
  /** The version of the contract; undefined for none. */
  readonly version?: number | undefined;
  /** The versions of clients that a server admits. Default: all. */
  readonly accepts?: ContractVersion['accepts'];
  /**
   * Returns a handler of connections, for `serve`, `Upgrader` or `@ws/fetch`.
   *
   * @param handlers - A function for each name of `server`.
   * @throws TypeError for a missing or unknown handler.
   */
  serve<Auth = unknown>(
    handlers: Handlers<S, ServerHandlerContext<Auth, Peer<C>>>,
    options?: HandlerOptions,
  ): (conn: ConnLike, request?: unknown, ctx?: { readonly auth?: Auth }) => Promise<void>;
  /**
   * Returns a listener for the event `message` of a hub.
   *
   * @throws TypeError for a missing or unknown handler.
   */
  listener<Session extends SessionLike>(
    handlers: Handlers<S, SessionHandlerContext<Session, Peer<C>>>,
    options?: HandlerOptions,
  ): (session: Session, message: BorrowedMessage) => unknown;
  /**
   * Returns the client of a session of a hub, or of a connection that `serve` reads. Each call returns
   * the same object.
   *
   * @throws TypeError for another value, and if the contract of the connection lacks these names.
   */
  peer(target: SessionLike | ConnLike): Peer<C>;
  /**
   * Called on a client: reads a connection, or all connections of a ReconnectingConn.
   *
   * @param handlers - A function for each name of `client`.
   * @returns The peer: the methods, events and streams of the server.
   * @throws TypeError for a missing or unknown handler, or when another contract reads `target`.
   */
  connect(
    target: ConnLike | ReconnectingConnLike,
    handlers: Handlers<C, HandlerContext<Peer<S>>>,
    options?: ConnectOptions,
  ): Peer<S>;
}

/** The methods, events and streams of both ends, or of one. */
export interface ContractPlan<S extends Definitions, C extends Definitions> {
  /** Methods, events and streams that a server handles. */
  readonly server?: S;
  /** Methods, events and streams that a client handles. */
  readonly client?: C;
  /**
   * The version of the contract, from 1. Raise it when old clients do not know something new. A client
   * tells its version first on each connection: see `accepts`. Default: none.
   */
  readonly version?: number | undefined;
  /**
   * The versions of clients that a server admits, beside its own; or a function that returns whether it
   * admits a version, synchronously. A lower version that it refuses ends with an {@link OutdatedError}. A
   * higher one tries again, because another node may admit it, for a minute. A client without a
   * version is admitted. Default: all.
   */
  readonly accepts?: readonly number[] | ((version: number) => boolean) | undefined;
}

/** No methods, events and streams: the default of an end of a contract that has none. */
// oxlint-disable-next-line typescript/no-empty-object-type -- no definitions
export type None = {};

/**
 * Creates a contract: the methods and events of a server and of its clients, with their schemas. Both
 * ends use the same contract.
 *
 * @throws TypeError for an invalid name.
 * @see https://www.jsonrpc.org/specification
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { contract, event, method } from '@ws/rpc';
 * import { z } from 'zod';
 *
 * const math = contract({
 *   server: { add: method(z.tuple([z.number(), z.number()]), z.number()) },
 *   client: { overflow: event(z.object({ at: z.number() })) },
 * });
 * const [client, server] = connPair();
 * void math.serve({ add: ([a, b]) => a + b })(server);
 * const peer = math.connect(client, { overflow: () => {} });
 * console.log(await peer.add([1, 2])); // 3
 * ```
 */
export function contract<S extends Definitions = None, C extends Definitions = None>(
  plan: ContractPlan<S, C>,
): Contract<S, C>;
/**
 * As above, with the names of another contract.
 *
 * @param other - The contract with the names to add.
 * @throws TypeError also for a name that both contracts have, and if both have a version.
 */
export function contract<
  S extends Definitions = None,
  C extends Definitions = None,
  S2 extends Definitions = None,
  C2 extends Definitions = None,
>(plan: ContractPlan<S, C>, other: Contract<S2, C2>): Contract<S & S2, C & C2>;
export function contract(plan: ContractPlan<Definitions, Definitions>, other?: Plain): Plain {
  checkOptionNames('contract', plan, ['server', 'client', 'version', 'accepts'], 'ignore');
  const server = merged('server', plan.server, other);
  const client = merged('client', plan.client, other);
  return new NamedContract(server, client, checkVersion(plan, other));
}

function merged(
  end: End,
  definitions: Definitions = {},
  other: Plain | undefined,
): Named<Definitions> {
  const own = named(end, definitions);
  if (other === undefined) return own;
  // Not instanceof: a contract of another copy of this package has another class.
  if ((Object(other) as Partial<NamedContract>)['@ws/contract'] !== true) {
    throw new TypeError(`contract: expected another contract, got ${kind(other)}`);
  }
  for (const name of Object.keys(own)) {
    if (name in other[end]) throw new TypeError(`contract: ${end}.${name} is in both contracts`);
  }
  return Object.freeze(Object.assign(Object.create(null), other[end], own));
}

/** A listener has the events of clients under this key, for the hub; `listener` itself has `true`. */
const CONTRACT_EVENTS: unique symbol = /* @__PURE__ */ Symbol.for('@ws/rpc: events');

/** A listener has its {@link SeenVersion} under this key, for the hub. */
const SEEN_VERSION: unique symbol = /* @__PURE__ */ Symbol.for('@ws/rpc: version');

/** Marks `listener`, so that a hub can tell it from what it returns. */
function uncalled(listener: Plain['listener']): Plain['listener'] {
  return Object.assign(listener, { [CONTRACT_EVENTS]: true });
}

const IS_CLIENT = 'peer: this end is the client; use the result of connect';

/** A contract with any names. */
type Plain = Contract<Definitions, Definitions>;

class NamedContract implements Plain, Names {
  readonly '@ws/contract' = true;
  readonly server: Named<Definitions>;
  readonly client: Named<Definitions>;
  readonly version: number | undefined;
  readonly accepts: ContractVersion['accepts'];
  /** The result of {@link peerOf}, by connection and end. */
  readonly #peers = {
    server: new WeakMap<object, Peer<Definitions>>(),
    client: new WeakMap<object, Peer<Definitions>>(),
  };

  constructor(
    server: Named<Definitions>,
    client: Named<Definitions>,
    { version, accepts }: ContractVersion,
  ) {
    this.server = server;
    this.client = client;
    this.version = version;
    this.accepts = accepts;
  }

  readonly serve: Plain['serve'] = (handlers, options) => {
    if (isConnLike(handlers)) {
      throw new TypeError(
        'serve: expected handlers, got a Conn; pass chat.serve(handlers), not chat.serve',
      );
    }
    const binding = this.#bind('serve', 'server', handlers, options);
    return (conn, _request, ctx) => {
      try {
        if (isConnLike(conn)) return serveConn(conn, binding, ctx?.auth);
        const hint = isSession(conn) ? "; hub.on('message') takes chat.listener(handlers)" : '';
        throw new TypeError(`serve: expected a Conn, got ${kind(conn)}${hint}`);
      } catch (error) {
        return rejected(error);
      }
    };
  };

  readonly listener: Plain['listener'] = uncalled((handlers, options) => {
    const binding = this.#bind('listener', 'server', handlers, options);
    const listener = (session: SessionLike, message: BorrowedMessage): unknown => {
      const link = linkOfSession(session, 'server', this);
      link.bind(binding);
      return link.take(message);
    };
    // By these events, a hub recognizes the text of an event, which `publishJSON` must not encode again.
    return Object.assign(listener, {
      [CONTRACT_EVENTS]: this.client,
      [SEEN_VERSION]: binding.seen,
    });
  });

  readonly peer: Plain['peer'] = (target) => {
    if (isReconnecting(target)) throw new TypeError(IS_CLIENT);
    if (isSession(target)) {
      const link = this.#check(linkOfSession(target, 'server', this));
      return this.peerOf(target.conn, 'client', () => link);
    }
    if (!isConnLike(target)) {
      throw new TypeError(`peer: expected a session or a Conn, got ${kind(target)}`);
    }
    const known = linkOf(target);
    if (known !== undefined) this.#check(known);
    return this.peerOf(target, 'client', () => this.#check(linkOf(target)));
  };

  readonly connect: Plain['connect'] = (target, handlers, options) => {
    const binding = this.#bind('connect', 'client', handlers, options);
    let link: Link;
    if (isReconnecting(target)) link = connectSeries(target, binding);
    else if (isConnLike(target)) link = connectConn(target, binding);
    else throw new TypeError(`connect: expected a Conn or a ReconnectingConn, got ${kind(target)}`);
    return this.peerOf(target, 'server', () => link);
  };

  /** @throws TypeError without a link, for a client, and if the link lacks names of this contract. */
  #check(link: Link | undefined): Link {
    if (link?.end === 'client') throw new TypeError(IS_CLIENT);
    if (link !== undefined && includesNames(link.contract, this)) return link;
    throw new TypeError(
      link === undefined
        ? 'no contract reads this connection; use chat.serve, or chat.connect'
        : 'peer: the contract of this connection lacks names of this one; merge them: contract({ … }, other)',
    );
  }

  /** The peer of `target`: a function for each name that the peer's end handles. `end` is that end. */
  peerOf(target: object, end: End, link: () => Link): Peer<Definitions> {
    const names = Object.entries(this[end]);
    if (names.length === 0) return NO_PEER;
    const known = this.#peers[end].get(target);
    if (known !== undefined) return known;
    const peer: Record<string, unknown> = Object.create(null);
    for (const [name, definition] of names) peer[name] = callOf(definition, target, link);
    this.#peers[end].set(target, Object.freeze(peer) as Peer<Definitions>);
    return peer as Peer<Definitions>;
  }

  #bind(
    owner: string,
    end: End,
    handlers: Handlers<Definitions, never>,
    options: ConnectOptions = {},
  ): Binding {
    if ('timeout' in options) {
      throw new TypeError(
        `${owner}: timeout is an option of each call: peer.add(input, { timeout })`,
      );
    }
    const names = ['concurrency', 'streams', ...(end === 'client' ? ['onOutdated'] : [])];
    checkOptionNames(owner, options, names, 'ignore');
    const { onOutdated } = options;
    if (onOutdated !== undefined && typeof onOutdated !== 'function') {
      throw new TypeError(`onOutdated: expected a function, got ${kind(onOutdated)}`);
    }
    const concurrency = whole('concurrency', options.concurrency ?? MAX_HANDLERS);
    const streams = whole('streams', options.streams ?? MAX_STREAMS);
    const hasPeer = Object.keys(this[end === 'server' ? 'client' : 'server']).length > 0;
    return {
      contract: this,
      end,
      version: this.version,
      seen: new SeenVersion(this.version),
      onOutdated,
      handlers: handlersOf(owner, this[end], handlers),
      concurrency,
      streams,
      unknownEvents: new Set(),
      contextOf: (link, request) => new Context(this, link, request, hasPeer),
    };
  }
}

/** Default of the option `concurrency`. */
const MAX_HANDLERS = 64;

/** Default of the option `streams`. */
const MAX_STREAMS = 16;

/** The peer of an end that handles nothing. */
const NO_PEER = /* @__PURE__ */ Object.freeze(
  /* @__PURE__ */ Object.create(null),
) as Peer<Definitions>;

/** The second argument of a handler. Its properties are own ones, so that a handler may spread it. */
class Context {
  declare readonly peer: Peer<Definitions>;
  readonly auth: unknown;
  readonly session: SessionLike | undefined;
  readonly version: number | undefined;
  readonly #contract: NamedContract;
  readonly #link: Link;
  readonly #request: Request;

  /** A getter creates the AbortController on first use: few handlers need it. */
  static #signal(this: Context): AbortSignal {
    return this.#request.signal;
  }

  static #peer(this: Context): Peer<Definitions> {
    const link = this.#link;
    const end = link.end === 'server' ? 'client' : 'server';
    return this.#contract.peerOf(link.key, end, () => link);
  }

  /** @param hasPeer - Whether the peer handles anything. */
  constructor(contract: NamedContract, link: Link, request: Request, hasPeer: boolean) {
    const { auth, version } = link;
    const { session } = link.carrier;
    this.auth = session === undefined ? auth : session.data;
    this.session = session;
    this.version = version;
    this.#contract = contract;
    this.#link = link;
    this.#request = request;
    // A getter of each object costs a fiftieth of a call.
    if (!hasPeer) this.peer = NO_PEER;
    // Takes half the time of Object.defineProperty.
    // oxlint-disable-next-line typescript/unbound-method -- a getter has `this`
    this.__defineGetter__('signal', Context.#signal);
    // oxlint-disable-next-line typescript/unbound-method -- a getter has `this`
    if (hasPeer) this.__defineGetter__('peer', Context.#peer);
  }
}

/** The function of a peer that calls a method, sends an event or opens a stream. */
function callOf(
  definition: Definition,
  target: object,
  link: () => Link,
): (input: unknown, options?: CallOptions) => unknown {
  if (definition.kind === 'stream') {
    const { StreamLoop } = definition.code as StreamCode;
    return (input, options) => new StreamLoop(() => link().calls, definition, input, options);
  }
  return (input, options) => {
    try {
      return link().calls.call(definition, input, options);
    } catch (error) {
      // No contract reads the connection.
      const { kind, name } = definition;
      const report = (): void => new Carrier({ conn: target as ConnLike }).report(error, name);
      const failed = new CallPromise();
      failed.reject(error, kind === 'event' ? undefined : report);
      return failed;
    }
  };
}

/** @throws TypeError for a missing or unknown handler. */
function handlersOf(
  owner: string,
  definitions: Named<Definitions>,
  handlers: Handlers<Definitions, never>,
): ReadonlyMap<string, Handler> {
  if (typeof handlers !== 'object' || handlers === null) {
    throw new TypeError(`${owner}: expected an object of handlers, got ${kind(handlers)}`);
  }
  for (const [name, value] of Object.entries(handlers)) {
    // Values that are no functions may be fields of a class.
    if (!(name in definitions) && typeof value === 'function') {
      throw new TypeError(`${owner}: the contract has no ${name} at this end`);
    }
  }
  // A Map: a peer may send `constructor` or `__proto__` as a name.
  const result = new Map<string, Handler>();
  for (const [name, definition] of Object.entries(definitions)) {
    const handler: unknown = (handlers as Readonly<Record<string, unknown>>)[name];
    if (typeof handler !== 'function') {
      throw new TypeError(`${owner}: ${name}: expected a function, got ${kind(handler)}`);
    }
    const run = (input: unknown, context: unknown): unknown =>
      handler.call(handlers, input, context);
    result.set(name, { definition, run });
  }
  return result;
}
