import { CloseCode } from '@ws/codec';
import type { Connection } from '../connection/connection.ts';
import type { MessageIterator } from '../connection/pull-reads.ts';
import { JSONError } from '../errors.ts';
import type { BorrowedMessage, Message } from '../message.ts';
import { handled } from '../time/promises.ts';
import { type WaitOptions, withTimeout } from '../time/wait.ts';
import { checkOptionNames, isThenable, kind } from '../validate.ts';
import {
  checkSchema,
  MISFIT,
  parseMessage,
  type SchemaOutput,
  type StandardSchema,
  schemaFailed,
  validationResult,
} from './json.ts';
import type { MessageHandler } from './receive-call.ts';

/** How messages are validated, for {@link Conn.receive} and {@link Conn.messages}. */
export interface SchemaOptions<S extends StandardSchema, M = BorrowedMessage> {
  /** A Standard Schema (zod, valibot, ...): messages are JSON that fits it. */
  readonly schema: S;
  /**
   * Called for a message that is not JSON or does not fit; may be async. The next message waits for
   * its promise. Default: closes the connection with 1007.
   */
  readonly invalid?: ((error: JSONError, message: M) => unknown) | undefined;
}

/** Gets each valid value. The message is as for a {@link MessageHandler}. */
export type ValueHandler<S extends StandardSchema> = (
  value: SchemaOutput<S>,
  message: BorrowedMessage,
) => void | PromiseLike<void>;

/** @throws TypeError that names the option. */
export function checkSchemaOptions(owner: string, options: object): void {
  checkOptionNames(owner, options, ['schema', 'invalid'], 'ignore');
  const { schema, invalid } = options as Partial<SchemaOptions<StandardSchema>>;
  checkSchema(schema, false);
  if (invalid === undefined || typeof invalid === 'function') return;
  throw new TypeError(`invalid: expected a function, got ${kind(invalid)}`);
}

/**
 * Calls `use` with the value of `message`, or `misfit` with the error of a message that does not
 * fit, and the reason of the close frame for it. Synchronous with a synchronous schema.
 *
 * @returns The result of `use` or `misfit`, or a promise of it.
 * @throws (or rejects with) JSONError when the schema itself fails; the error of `use` or `misfit`.
 */
export function withValue(
  message: Message | BorrowedMessage,
  schema: StandardSchema,
  use: (value: unknown) => unknown,
  misfit: (error: JSONError, reason: string) => unknown,
): unknown {
  let value: unknown;
  try {
    value = parseMessage(message);
  } catch (error) {
    if (error instanceof JSONError) return misfit(error, reasonFor(error));
    throw error;
  }
  const judge = (validated: unknown): unknown => {
    const result = attempt(() => validationResult(validated));
    return result instanceof JSONError ? misfit(result, reasonFor(result)) : use(result.value);
  };
  const validated: unknown = attempt(() => {
    const result: unknown = schema['~standard'].validate(value);
    return isThenable(result) ? Promise.resolve(result) : result;
  });
  if (!(validated instanceof Promise)) return judge(validated);
  return validated.then(judge, (cause: unknown) => {
    throw schemaFailed(cause);
  });
}

/** @throws JSONError when the schema fails. */
function attempt<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw schemaFailed(cause);
  }
}

function reasonFor({ message }: JSONError): string {
  return message.startsWith(`websocket: ${MISFIT}`) ? MISFIT : 'message is not JSON';
}

/** The peer broke the agreement: none of its later messages is delivered. */
function failWith(connection: Connection, error: JSONError, reason: string): void {
  connection.inbound.dropAll();
  connection.fail(error, CloseCode.InvalidFramePayloadData, reason);
}

/** The handler of `receive` that validates messages for `handler`. */
export function validatingHandler<S extends StandardSchema>(
  connection: Connection,
  handler: ValueHandler<S>,
  { schema, invalid }: SchemaOptions<S>,
): MessageHandler {
  return (message) =>
    withValue(
      message,
      schema,
      (value) => handler(value, message),
      (error, reason) =>
        invalid === undefined ? failWith(connection, error, reason) : invalid(error, message),
    ) as void | PromiseLike<void>;
}

/** The iterator of {@link Conn.messages}. */
export class ValueIterator<S extends StandardSchema>
  implements AsyncIterableIterator<SchemaOutput<S>, undefined>
{
  readonly #connection: Connection;
  readonly #messages: MessageIterator;
  readonly #options: SchemaOptions<S, Message>;

  constructor(
    connection: Connection,
    messages: MessageIterator,
    options: SchemaOptions<S, Message>,
  ) {
    this.#connection = connection;
    this.#messages = messages;
    this.#options = options;
  }

  next(): Promise<IteratorResult<SchemaOutput<S>, undefined>> {
    return handled(this.#next());
  }

  async #next(): Promise<IteratorResult<SchemaOutput<S>, undefined>> {
    const { schema, invalid } = this.#options;
    for (;;) {
      const result = await this.#messages.next();
      if (result.done === true) return result;
      const message = result.value;
      const use = (value: unknown) => ({ done: false, value: value as SchemaOutput<S> }) as const;
      const valid = await withValue(message, schema, use, async (error, reason) => {
        if (invalid === undefined) failWith(this.#connection, error, reason);
        else await invalid(error, message);
      });
      if (valid !== undefined) return valid as ReturnType<typeof use>;
    }
  }

  /** As the iterator of the connection: `break` leaves it open. */
  return(): Promise<IteratorResult<never, undefined>> {
    return this.#messages.return() as Promise<IteratorResult<never, undefined>>;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Reads the next message of `connection` as JSON: see `Conn.readJSON`. */
export function readJSON(
  connection: Connection,
  { schema, ...wait }: WaitOptions & { readonly schema?: StandardSchema | undefined },
): Promise<unknown> {
  const { platform, inbound } = connection;
  const reads = inbound.pullReads();
  let reading: Promise<Message> | undefined;
  /** The message, while its schema is not done. */
  let unparsed: Message | undefined;
  /** Set when the wait ended after the message had arrived and before its schema began. */
  let cancelled: { readonly reason: unknown } | undefined;
  const parse = async (): Promise<unknown> => {
    try {
      reading = reads.readMessage('readJSON');
      const message = await reading;
      if (schema === undefined) return parseMessage(message);
      if (cancelled !== undefined) {
        reads.takeBack(message);
        throw cancelled.reason;
      }
      unparsed = message;
      let fits = true;
      const misfit = (error: JSONError): never => {
        fits = false;
        throw error;
      };
      try {
        return await withValue(message, schema, (valid) => valid, misfit);
      } catch (error) {
        // An error of the schema itself.
        if (fits && error instanceof JSONError) connection.report(error, 'readJSON');
        throw error;
      } finally {
        unparsed = undefined;
      }
    } catch (error) {
      // Last, as in `Deferred.rejectWithCaller`: otherwise the stack would not name the caller.
      void handled(value);
      throw error;
    }
  };
  const value = withTimeout(platform, wait, parse, (_started, reason) => {
    if (unparsed !== undefined) reads.takeBack(unparsed);
    else if (!reads.giveUp(reading!, reason)) {
      cancelled = { reason };
      return false;
    }
    return true;
  });
  return value;
}
