import type { SchemaOutput, StandardSchema } from '@ws/conn';
import { checkOptionNames, kind } from '@ws/conn/internal';
import type { Answered, Sent } from './json-values.ts';
import { checkIsSchema, checkNow, type SchemaInput } from './schema.ts';
import { callText } from './wire.ts';

/** A method of a contract: a request with an answer. {@link method} creates it. */
export interface Method<
  I extends StandardSchema = StandardSchema,
  O extends StandardSchema = StandardSchema,
> {
  readonly kind: 'method';
  /** The schema of the input. */
  readonly input: I;
  /** The schema of the answer. */
  readonly output: O;
  /** Whether a `ReconnectingConn` sends an open request again on the next connection. */
  readonly retry: boolean;
  /** @internal Whether the handler runs on arrival, in parallel with other handlers. */
  readonly onArrival?: boolean;
}

/** An event of a contract: a message without an answer. {@link event} creates it. */
export interface Event<I extends StandardSchema = StandardSchema> {
  readonly kind: 'event';
  /** The schema of the input. */
  readonly input: I;
  /**
   * @internal Whether the handler runs on arrival, before waiting requests. The handler and the schema
   * are synchronous then.
   */
  readonly onArrival?: boolean;
}

/** A stream of a contract: a request with a series of items as answer. `stream` creates it. */
export interface Stream<
  I extends StandardSchema = StandardSchema,
  T extends StandardSchema = StandardSchema,
> {
  readonly kind: 'stream';
  /** The schema of the input. */
  readonly input: I;
  /** The schema of each item. */
  readonly item: T;
  /** @internal The code of streams, which a bundle without `stream` lacks. */
  readonly code?: unknown;
}

/** A method with its name. */
export interface MethodDefinition<
  I extends StandardSchema = StandardSchema,
  O extends StandardSchema = StandardSchema,
> extends Method<I, O> {
  readonly name: string;
}

/** An event with its name. */
export interface EventDefinition<I extends StandardSchema = StandardSchema> extends Event<I> {
  readonly name: string;
  /**
   * Returns the event as a text message, for `room.publish` or `broadcast`: one encoding serves all
   * members.
   *
   * @param value - The input of the schema. The message contains the output of the schema. The receiver
   *   checks it with the same schema, so the schema must accept its own output.
   * @throws JSONError when the value does not fit, with the issues; TypeError when the schema is
   *   asynchronous.
   */
  encode(value: SchemaInput<I>): string;
}

/** A stream with its name. */
export interface StreamDefinition<
  I extends StandardSchema = StandardSchema,
  T extends StandardSchema = StandardSchema,
> extends Stream<I, T> {
  readonly name: string;
}

/** A definition of a contract with its name. */
export type Definition = MethodDefinition | EventDefinition | StreamDefinition;

/** The methods, events and streams that one end handles, by name. */
// oxlint-disable typescript/no-explicit-any -- any schemas
export type Definitions = Readonly<
  Record<string, Method<any, any> | Event<any> | Stream<any, any>>
>;
// oxlint-enable typescript/no-explicit-any

/** The definitions of one end with their names. */
export type Named<D extends Definitions> = {
  readonly [K in keyof D]: D[K] extends Method<infer I, infer O>
    ? MethodDefinition<I, O>
    : D[K] extends Event<infer I>
      ? EventDefinition<I>
      : D[K] extends Stream<infer I, infer T>
        ? StreamDefinition<I, T>
        : never;
};

/** The options of {@link method}. */
export interface MethodOptions {
  /**
   * On a `ReconnectingConn`: whether to repeat an unanswered request on the next connection, with the
   * same id. The method may then run twice. If five connections end before the answer, the call
   * rejects with the CloseError of the fifth. Default: false, the call rejects when the first
   * connection ends.
   */
  readonly retry?: boolean | undefined;
}

/**
 * A request with an answer.
 *
 * @param input - A Standard Schema (zod, valibot, ...). The caller passes the schema's input, the
 *   handler gets its output.
 * @param output - The schema of the answer. The handler's end applies the schema before it sends the
 *   answer, and the caller's end again when the answer arrives. So the schema must accept its own
 *   output after a round trip through JSON. Types that JSON lacks, for example a Map, do not compile.
 * @throws TypeError for an invalid argument.
 *
 * @example
 * ```ts
 * import { method } from '@ws/rpc';
 * import { z } from 'zod';
 *
 * const add = method(z.tuple([z.number(), z.number()]), z.number(), { retry: true });
 * console.log(add.retry); // true
 * ```
 */
export function method<I extends StandardSchema, O extends StandardSchema>(
  input: I & Sent<SchemaInput<I>>,
  output: O & Answered<SchemaInput<O>, SchemaOutput<O>>,
  options: MethodOptions = {},
): Method<I, O> {
  checkIsSchema('method: input', input);
  checkIsSchema('method: output', output);
  checkOptionNames('method', options, ['retry'], 'ignore');
  const { retry = false } = options;
  if (typeof retry === 'boolean') return Object.freeze({ kind: 'method', input, output, retry });
  throw new TypeError(`retry: expected a boolean, got ${kind(retry)}`);
}

/**
 * A message without an answer.
 *
 * @param input - A Standard Schema (zod, valibot, ...).
 * @throws TypeError for an invalid argument.
 *
 * @example
 * ```ts
 * import { contract, event } from '@ws/rpc';
 * import { z } from 'zod';
 *
 * const { client } = contract({ client: { said: event(z.object({ text: z.string() })) } });
 * console.log(client.said.encode({ text: 'hello' }));
 * ```
 */
export function event<I extends StandardSchema>(
  input: I & Sent<SchemaInput<I>>,
  ...more: never[]
): Event<I> {
  checkIsSchema('event: input', input);
  if (more.length > 0) {
    throw new TypeError('event: expected an input only; method(input, output) has an answer');
  }
  return Object.freeze({ kind: 'event', input });
}

/** A peer with a method `then` would be a promise. Each object already has the other names. */
const INVALID_NAMES = ['then', ...Object.getOwnPropertyNames(Object.prototype)].join(', ');

/** 1 to 64 letters, digits, `_`, `.`, `/` and `-`. */
const NAME = /^[\w./-]{1,64}$/;

/**
 * Names the definitions of one end.
 *
 * @param end - `server` or `client`, for errors.
 * @throws TypeError for an invalid name or definition.
 */
export function named<D extends Definitions>(end: string, definitions: D): Named<D> {
  if (typeof definitions !== 'object' || definitions === null || Array.isArray(definitions)) {
    throw new TypeError(`contract: ${end}: expected an object, got ${kind(definitions)}`);
  }
  const result: Record<string, Definition> = Object.create(null);
  for (const [name, definition] of Object.entries(definitions)) {
    checkName(end, name);
    result[name] = withName(name, definition, `contract: ${end}.${name}`);
  }
  return Object.freeze(result) as Named<D>;
}

function checkName(end: string, name: string): void {
  const isReserved = name === 'then' || name.startsWith('rpc.') || name in Object.prototype;
  if (NAME.test(name) && !isReserved) return;
  throw new TypeError(
    `contract: ${end}: ${JSON.stringify(name)} is no name; use 1 to 64 of A-Z a-z 0-9 _ . / -, not ${INVALID_NAMES}, and nothing that begins with rpc.`,
  );
}

function withName(name: string, definition: unknown, owner: string): Definition {
  const given = Object(definition) as Method | Event | Stream;
  if (given.kind === 'method' || given.kind === 'stream') return Object.freeze({ ...given, name });
  if (given.kind === 'event') {
    const encode = (value: unknown): string =>
      callText(name, checkNow(given.input, value, 'encode'), undefined, given.input);
    return Object.freeze({ ...given, name, encode });
  }
  throw new TypeError(
    `${owner}: expected method(…), event(…) or stream(…), got ${kind(definition)}`,
  );
}
