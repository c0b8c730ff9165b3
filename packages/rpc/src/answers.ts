import { BackpressureError, type ConnLike } from '@ws/conn';
import { internalsOf, isThenable } from '@ws/conn/internal';
import type { Carrier, Dropped } from './carrier.ts';
import type { MethodDefinition } from './definitions.ts';
import type { Handler, Plan, Request } from './request.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import { after, type Checked, check, checkEither, misfit } from './schema.ts';
import type { ServedStreams } from './served-streams.ts';
import type { StreamCode } from './stream.ts';
import { type Id, resultText } from './wire.ts';

/** Bounds of the answers that wait to be written while a handler may start: number and characters. */
const MAX_WAITING = 64;
const MAX_WAITING_SIZE = 1024 * 1024;
/** Bound of the replies that wait to be written, in characters. */
const MAX_REPLIES = 1024 * 1024;

/** The text of an answer; undefined if none is sent. */
type Answer = string | undefined | Promise<string | undefined>;

/** Calls the handlers of the peer's requests and events, and sends their answers. */
export class Answers<Link extends { readonly carrier: Carrier }> {
  readonly #link: Link;
  readonly #carrier: Carrier;
  readonly #plan: Plan<Link>;
  readonly #onProgress: () => void;
  /** The streams that this end serves. Created for the first one. */
  streams: ServedStreams | undefined;
  /** Number of the answers that wait to be written, and their characters. */
  #waiting = 0;
  #size = 0;
  /** Characters of the replies that wait to be written. */
  #replies = 0;
  /** The peer must get the answer, because its call may have no timeout. */
  readonly #dropped: Dropped = (error, text) => {
    const carrier = this.#carrier;
    carrier.reportRarely('unsent', () => error);
    this.#countUntil(carrier.sendSurely(carrier.connection, text, this.#dropped), text);
  };

  /** @param onProgress - Called when an answer that had to wait was written, or a stream has ended. */
  constructor(link: Link, plan: Plan<Link>, onProgress: () => void) {
    this.#link = link;
    this.#carrier = link.carrier;
    this.#plan = plan;
    this.#onProgress = onProgress;
  }

  /** Whether so many answers wait for the peer that no further handler may start. */
  get isBehind(): boolean {
    return this.#waiting > MAX_WAITING || this.#size > MAX_WAITING_SIZE;
  }

  /**
   * Checks the input of a request or an event, calls its handler, checks the result of the handler, and
   * sends the answer.
   *
   * @returns Undefined when the handler has settled, else a promise that never rejects.
   */
  run(request: Request): Promise<void> | undefined {
    try {
      const { handler, params } = request;
      const { input } = handler.definition;
      const isWrapped = Array.isArray(params) && params.length === 1;
      // The peer's `paramsText` may have wrapped a value as `[value]`.
      const checked = isWrapped ? checkEither(input, params[0], params) : check(input, params);
      const answer =
        checked instanceof Promise
          ? checked.then((result) => this.#callLater(request, handler, result))
          : this.#call(request, handler, checked);
      if (!(answer instanceof Promise)) return this.#send(request, answer);
      return answer.then(
        (text) => this.#send(request, text),
        (error: unknown) => this.#send(request, request.errorText(error, this.#carrier)),
      );
    } catch (error) {
      return this.#send(request, request.errorText(error, this.#carrier));
    }
  }

  /** Calls the handler after an asynchronous schema, unless the request has ended meanwhile. */
  #callLater(request: Request, handler: Handler, checked: Checked): Answer {
    const { connection } = request;
    if (request.isDropped || isRevoked(connection)) return undefined;
    // If the peer has closed the connection, its earlier messages are still handled, with an aborted
    // signal.
    if (request.isCancelled && connection?.state === 'open') throw request.signal.reason;
    return this.#call(request, handler, checked);
  }

  #call(request: Request, { definition, run }: Handler, { value, issues }: Checked): Answer {
    const { id } = request;
    if (issues !== undefined) {
      if (id !== undefined) {
        throw new RpcError(ErrorCode.InvalidParams, 'Invalid params', { issues });
      }
      const what = `an event ${definition.name} does not fit its schema`;
      this.#carrier.reportRarely('misfit', () => misfit(what, issues));
      return undefined;
    }
    const { streams, contextOf } = this.#plan;
    if (definition.kind === 'stream') {
      const { ServedStreams } = definition.code as StreamCode;
      this.streams ??= new ServedStreams(this.#carrier, streams, this.#onProgress);
      return this.streams.start(request, () => run(value, contextOf(this.#link, request)));
    }
    const result = run(value, contextOf(this.#link, request));
    if (id === undefined || definition.kind === 'event') return after(result, () => undefined);
    return isThenable(result)
      ? Promise.resolve(result).then((answer) => textOf(id, definition, answer))
      : textOf(id, definition, result);
  }

  /**
   * Sends a reply: an answer without a handler, for example a refusal. A peer that makes this end
   * reply, but does not read, loses its connection.
   */
  reply(connection: ConnLike | undefined, text: string): void {
    const written = this.#write(connection, text);
    if (written === undefined) return;
    this.#replies += text.length;
    void written.then(() => (this.#replies -= text.length));
    if (this.#replies <= MAX_REPLIES) return;
    const what = `${this.#replies} characters of refusals wait, and the peer does not read them`;
    const error = new BackpressureError(`the connection ends with 1013: ${what}`);
    this.#carrier.reportRarely('overload', () => error);
    this.#carrier.overloaded();
  }

  /**
   * Sends the answer of a handler, unless the connection has ended. If a hub drops the answer later,
   * sends it again.
   */
  #send({ connection, id }: Request, text: string | undefined): undefined {
    if (text === undefined) return;
    const written = this.#write(connection, text, id);
    if (written !== undefined) this.#countUntil(written, text);
  }

  /** @param written - Never rejects. */
  #countUntil(written: Promise<unknown>, text: string): void {
    this.#waiting++;
    this.#size += text.length;
    void written.then(() => {
      this.#waiting--;
      this.#size -= text.length;
      this.#onProgress();
    });
  }

  /** @returns Undefined if no message waits after this one; else a promise that never rejects. */
  #write(connection: ConnLike | undefined, text: string, id?: Id): Promise<unknown> | undefined {
    const carrier = this.#carrier;
    // On a new connection the ids mean other calls. The calls of the old connection were rejected.
    if (!carrier.isOpen(connection)) return undefined;
    const sent = carrier.send(text, this.#dropped);
    // A message that a hub has accepted may wait.
    if (sent === undefined) return carrier.session && carrier.untilWritable()?.catch(() => {});
    return sent.catch((error: unknown) => {
      if (!carrier.isOpen(connection)) return undefined;
      if (id !== undefined) return carrier.refused(connection, id, error);
      return carrier.sendSurely(connection, text);
    });
  }
}

/**
 * Whether messages of the connection that have arrived are dropped, because this end has closed the
 * connection. Without `dropsInput`, each close by this end drops them.
 */
export function isRevoked(connection: ConnLike | undefined): boolean {
  if (connection === undefined) return false;
  return internalsOf(connection).dropsInput ?? connection.state === 'closing';
}

/**
 * The text of the answer.
 *
 * @throws (or rejects with) JSONError when the answer does not fit its schema, or JSON; the error of
 *   the schema.
 */
function textOf(
  id: Id,
  definition: MethodDefinition,
  answer: unknown,
  checked: Checked | Promise<Checked> = check(definition.output, answer),
): Answer {
  if (checked instanceof Promise) {
    return checked.then((result) => textOf(id, definition, answer, result));
  }
  const { value, issues } = checked;
  if (issues === undefined) return resultText(id, value);
  checkNoGenerator(definition.name, answer);
  throw misfit(`the answer of ${definition.name} does not fit its schema`, issues);
}

/** @throws TypeError for a generator as the answer of a method. */
function checkNoGenerator(name: string, answer: unknown): void {
  if (typeof (Object(answer) as Partial<AsyncGenerator>)[Symbol.asyncIterator] !== 'function')
    return;
  throw new TypeError(
    `${name}: it returned a generator; write stream(input, item) in the contract`,
  );
}
