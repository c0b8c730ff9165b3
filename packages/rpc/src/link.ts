import {
  type BorrowedMessage,
  CloseCode,
  type CloseInfo,
  CloseSentError,
  type ConnLike,
  ReadPendingError,
  TextMessage,
} from '@ws/conn';
import { internalsOf, kind, markHandled, onRejection } from '@ws/conn/internal';
import { Questions } from './alive.ts';
import { Calls } from './calls.ts';
import {
  Carrier,
  closeErrorOf,
  HAS_ENDED,
  isSession,
  type ReconnectingConnLike,
  type SessionLike,
  type Way,
} from './carrier.ts';
import type { Definition } from './definitions.ts';
import {
  type ContractVersion,
  HELLO,
  Hellos,
  isVersion,
  listOf,
  OUTDATED_CODE,
  refusalOf,
  type SeenVersion,
  type ServerVersion,
  VERSION,
  VERSION_REFUSED,
  WIRE,
} from './hello.ts';
import type { Plan } from './request.ts';
import { Requests } from './requests.ts';
import {
  errorText,
  type Id,
  INVALID,
  isId,
  parse,
  resultText,
  signalText,
  type WireMessage,
} from './wire.ts';

/** One end of a connection. */
export type End = 'server' | 'client';

/** The named definitions of a contract, by the end that handles them. */
export type Names = Readonly<Record<End, Readonly<Record<string, Definition>>>> & ContractVersion;

/** The handlers of one end of a contract, from one call of `serve`, `listener` or `connect`. */
export interface Binding extends Plan<Link> {
  readonly contract: Names;
  /** At a server: the highest version that it has seen. */
  readonly seen: SeenVersion;
  /** At a client: called once when the server does not serve its version any more. */
  readonly onOutdated: ((server: ServerVersion) => unknown) | undefined;
}

/** Close codes after which the messages that have arrived are still handled. */
const NORMAL: readonly number[] = [1000, 1001, 1005];

/** The link of each connection and ReconnectingConn. */
const links = new WeakMap<object, Link>();

/** One connection, or the series of a ReconnectingConn, with its contract. */
export class Link {
  /** The connection or the ReconnectingConn. */
  readonly key: object;
  readonly carrier: Carrier;
  readonly end: End;
  /** The contract that the connection speaks. */
  contract: Names;
  /** What `authenticate` has admitted. */
  auth: unknown;
  /** At a server: the version of the client's contract; undefined before a hello with a version. */
  version: number | undefined;
  /** At a server: whether the client has said hello, and whether the server has refused it. */
  #hello: 'none' | 'said' | 'refused' = 'none';
  /** At a client: what it learns from the answers to its hellos. */
  hellos: Hellos | undefined;
  #binding: Binding | undefined;
  #requests: Requests<Link> | undefined;
  callsIfAny: Calls | undefined;

  constructor(key: object, carrier: Carrier, end: End, contract: Names) {
    this.key = key;
    this.carrier = carrier;
    this.end = end;
    this.contract = contract;
  }

  /** The calls of this end. Created for the first one. */
  get calls(): Calls {
    this.callsIfAny ??= new Calls(this.carrier, () => this.#requests?.readOn());
    return this.callsIfAny;
  }

  /** @throws TypeError when the link has the handlers of another call. */
  bind(binding: Binding): void {
    if (this.#binding === binding) return;
    // The link may exist already: a call to its client creates it with the names of a contract.
    const hasNames = binding.end === this.end && includesNames(binding.contract, this.contract);
    if (this.#binding !== undefined || !hasNames) throw otherReaderError();
    this.#binding = binding;
    this.carrier.hasReader = true;
    this.contract = binding.contract;
  }

  /**
   * Takes a message of the peer.
   *
   * @returns A promise to pause reading: no message may be read before the promise resolves.
   */
  take(message: BorrowedMessage): Promise<void> | undefined {
    if (this.#hello === 'refused') return undefined;
    const isText = message.type === TextMessage;
    const text = isText ? message.text() : '';
    const parsed = isText ? parse(text) : INVALID;
    const isMessage = typeof parsed === 'object';
    const { id, method, result, error }: WireMessage = isMessage ? parsed : {};
    const isOfVersions = id === HELLO || method === HELLO || method === VERSION;
    if (isOfVersions && this.#takeHello(parsed as WireMessage)) return undefined;
    // `Requests` is created for the first other message, to save the memory of idle connections.
    const requests = (this.#requests ??= new Requests<Link>(this, this.#binding!));
    if (!isMessage) return requests.reply(parsed);
    // An answer of another library may lack `result`: JSON omits undefined.
    const isAnswer =
      method === undefined &&
      (result !== undefined || error !== undefined || this.callsIfAny?.awaits(id) === true);
    if (!isAnswer) return requests.take(parsed, text);
    this.callsIfAny?.answered(parsed);
    return undefined;
  }

  /** Takes a message about versions. Returns whether it is a first hello, or the answer to one. */
  #takeHello(message: WireMessage): boolean {
    const { id, method, params } = message;
    if (method === VERSION) this.hellos?.told(Object(params) as object);
    if (method === HELLO) return this.end === 'server' && isId(id) && this.#answerHello(id, params);
    if (method !== undefined || id !== HELLO) return false;
    this.hellos?.answered(this.carrier.messageConnection, message);
    return true;
  }

  /**
   * Answers the first hello, before all that came later. Closes the connection of a client that is refused.
   *
   * @returns False for another hello, and for an invalid one.
   */
  #answerHello(id: Id, params: unknown): boolean {
    const { contract, seen } = this.#binding!;
    const { carrier } = this;
    const { wire = WIRE, version: given } = Object(params) as Record<string, unknown>;
    // Some languages write null for none.
    const version = given ?? undefined;
    const isValid = isVersion(wire) && (version === undefined || isVersion(version));
    if (this.#hello !== 'none' || !isValid) return false;
    this.version = version;
    const accepts = listOf(contract);
    const refusal = refusalOf(contract, version, (error) =>
      carrier.reportRarely('accepts', () => error),
    );
    this.#hello = refusal === undefined ? 'said' : 'refused';
    const text =
      refusal === undefined
        ? resultText(id, { wire: WIRE, version: seen.highest, accepts })
        : errorText(id, VERSION_REFUSED, refusal, { version: contract.version, accepts });
    carrier.send(text, () => {})?.catch(() => {});
    if (refusal !== undefined) {
      const code = refusal === 'outdated' ? OUTDATED_CODE : CloseCode.TryAgainLater;
      void markHandled(carrier.connection!.close(code, refusal, { discard: true }));
    } else if (carrier.session !== undefined) seen.clients.add(this);
    return true;
  }

  /** Tells the client of a session that the server has seen a higher version. */
  tellVersion(version: number): void {
    void this.carrier.sendSurely(this.carrier.connection, signalText(VERSION, { version }));
  }

  /** A connection of a series has ended. */
  broke(conn: ConnLike, info: CloseInfo): void {
    this.#requests?.ended(conn, !NORMAL.includes(info.code));
    const error = this.hellos?.errorAt(info) ?? closeErrorOf(info);
    this.callsIfAny?.broke(conn, error, conn === this.hellos?.refusedOn);
  }

  /** The last connection has ended. */
  ended(conn: ConnLike, info: CloseInfo): void {
    this.#requests?.ended(conn, !NORMAL.includes(info.code));
    this.#binding?.seen.clients.delete(this);
    const error = this.hellos?.errorAt(info);
    this.calls.end(error ?? closeErrorOf(info), error ?? closeErrorOf(info, HAS_ENDED));
  }

  /** Resolves when no handler runs; undefined if none runs now. */
  untilIdle(): Promise<void> | undefined {
    return this.#requests?.untilIdle();
  }
}

/** The link of a connection, a session or a ReconnectingConn, if it has one. */
export function linkOf(target: object): Link | undefined {
  return links.get(target);
}

/** Serves a connection until it ends and no handler runs. */
export function serveConn(conn: ConnLike, binding: Binding, auth: unknown): Promise<void> {
  const link = claim(conn, binding, { conn });
  link.auth = auth;
  const receive = (message: BorrowedMessage): Promise<void> | undefined => link.take(message);
  const internals = internalsOf(conn);
  if (internals.receiveThen !== undefined) return internals.receiveThen(receive, SERVED);
  const failed = (error: unknown): Promise<void> => SERVED.ended(conn, { error });
  return markHandled(conn.receive(receive).then(() => SERVED.ended(conn, undefined), failed));
}

/** Called at the end of a served connection. The promise of `serve` settles as `ended` does. */
const SERVED = {
  async ended(conn: ConnLike, failure: { readonly error: unknown } | undefined): Promise<void> {
    const link = links.get(conn)!;
    // Other code of the application reads the connection already.
    if (failure?.error instanceof ReadPendingError) {
      links.delete(conn);
      link.calls.end(failure.error);
    } else {
      link.ended(conn, await internalsOf(conn).closed);
      await link.untilIdle();
    }
    if (failure !== undefined) throw failure.error;
  },
};

/** The link of a session. The session's first message, or the first call to its client, creates it. */
export function linkOfSession(session: SessionLike, end: End, contract: Names): Link {
  const { conn } = session;
  const known = links.get(conn);
  if (known !== undefined) return known;
  if (!isSession(session)) {
    throw new TypeError(
      `listener(handlers) is for hub.on('message'), got ${kind(session)}; a server takes serve(handlers)`,
    );
  }
  const link = new Link(conn, new Carrier(session, session), end, contract);
  links.set(conn, link);
  void internalsOf(conn).closed.then((info) => link.ended(conn, info));
  return link;
}

/** Creates the link of a client's connection, and reads the connection. */
export function connectConn(conn: ConnLike, binding: Binding): Link {
  const link = claim(conn, binding, { conn });
  const { closed } = internalsOf(conn);
  void closed.then((info) => link.ended(conn, info));
  hellosOf(link, binding).send(conn);
  read(conn, link);
  return link;
}

function hellosOf(link: Link, { contract, onOutdated }: Binding): Hellos {
  const failed = (error: unknown): void => link.carrier.report(error, 'onOutdated');
  return (link.hellos = new Hellos(contract.version, (error) => {
    (link.key as ReconnectingConnLike).fail?.(error);
    link.calls.end(error);
    try {
      const { version, accepts } = error;
      onRejection(onOutdated?.({ version, accepts }), failed);
    } catch (fault) {
      failed(fault);
    }
  }));
}

/** Creates the link of a ReconnectingConn, and reads all its connections. */
export function connectSeries(live: ReconnectingConnLike, binding: Binding): Link {
  const link = claim(live, binding, live);
  const { calls } = link;
  calls.questions = new Questions(live, () => calls.hasOpen);
  calls.version = binding.contract.version;
  const hellos = hellosOf(link, binding);
  // A ReconnectingConn calls this before it sends the waiting messages. A class of the application may not.
  live.greet = (conn) => hellos.send(conn);
  const opened = (conn: ConnLike): void => {
    void internalsOf(conn).closed.then((info) => link.broke(conn, info));
    hellos.send(conn);
    link.callsIfAny?.flush();
  };
  live.on('open', opened);
  if (live.conn !== undefined) opened(live.conn);
  read(live, link);
  void live.closed.then(({ error }) => link.calls.end(error ?? new CloseSentError()));
  return link;
}

function read(target: ConnLike | ReconnectingConnLike, link: Link): void {
  target
    .receive((message) => link.take(message))
    .catch((error: unknown) => {
      // Otherwise the connection has ended, and each call has its CloseError.
      if (error instanceof ReadPendingError) link.calls.end(error);
    });
}

/** Creates the link of `target`. @throws TypeError when another call reads the connection. */
function claim(target: object, binding: Binding, way: Way): Link {
  if (links.has(target)) throw otherReaderError();
  const link = new Link(target, new Carrier(way), binding.end, binding.contract);
  link.bind(binding);
  links.set(target, link);
  return link;
}

/** Whether `contract` has all names of `other`. */
export function includesNames(contract: Names, other: Names): boolean {
  const ends = ['server', 'client'] as const;
  return ends.every((end) => Object.keys(other[end]).every((name) => name in contract[end]));
}

function otherReaderError(): TypeError {
  return new TypeError(
    'another contract, or another call of serve, listener, connect or roomsOf, reads this connection; merge two contracts: contract({ … }, other)',
  );
}
