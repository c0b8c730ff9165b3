import { type Conn, JSONError } from '@ws/conn';
import * as v from 'valibot';

const Id = v.union([v.string(), v.number(), v.null()]);
const Call = v.strictObject({
  jsonrpc: v.literal('2.0'),
  method: v.string(),
  params: v.optional(v.union([v.array(v.unknown()), v.record(v.string(), v.unknown())])),
  id: v.optional(Id),
});
const Failure = v.object({ code: v.number(), message: v.string(), data: v.optional(v.unknown()) });
const Answer = v.union([
  v.strictObject({ jsonrpc: v.literal('2.0'), id: Id, result: v.unknown() }),
  v.strictObject({ jsonrpc: v.literal('2.0'), id: Id, error: Failure }),
]);
/** A message in either direction: both ends may call. */
const Message = v.union([Call, Answer]);

type Call = v.InferOutput<typeof Call>;
type Answer = v.InferOutput<typeof Answer>;

/** Codes of JSON-RPC 2.0, section 5.1. */
export const ErrorCode = {
  parse: -32_700,
  request: -32_600,
  method: -32_601,
  params: -32_602,
  internal: -32_603,
} as const;

/** An error that is sent to the caller. Other errors of a method are not. */
export class RpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** A method: a schema of its params, and a function of them. */
export interface Method {
  readonly params: v.GenericSchema;
  readonly run: (params: never) => unknown;
}

/** Creates a method whose `run` gets the output of the schema. */
export function method<S extends v.GenericSchema>(
  params: S,
  run: (params: v.InferOutput<S>) => unknown,
): Method {
  return { params, run };
}

/** Calls of one connection that wait for the calls before them. */
const MOST_WAITING = 64;
/** A code from the range that the specification reserves for servers. */
const BUSY = -32_000;

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One end of a JSON-RPC 2.0 connection: calls the other end, and serves its calls. */
export class Rpc {
  readonly #conn: Conn;
  readonly #methods: ReadonlyMap<string, Method>;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  /**
   * The last call of the other end, and the number of unfinished calls. Reading continues during a
   * call, so a method may call the other end.
   */
  #running: Promise<void> = Promise.resolve();
  #depth = 0;

  constructor(conn: Conn, methods: Readonly<Record<string, Method>>) {
    this.#conn = conn;
    // A Map, so that `constructor` and `__proto__` are not methods.
    this.#methods = new Map(Object.entries(methods));
  }

  /**
   * Calls a method of the other end. Rejects with its RpcError, or if the connection ends before the
   * answer.
   */
  call(
    name: string,
    params?: readonly unknown[] | Readonly<Record<string, unknown>>,
  ): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#conn.writeJSON({ jsonrpc: '2.0', id, method: name, params }).catch((error: Error) => {
        this.#waiting.delete(id);
        reject(error);
      });
    });
  }

  /**
   * Serves the connection until it ends, calls in their order. Resolves when the other end closes
   * normally.
   */
  async serve(): Promise<void> {
    try {
      while (this.#conn.state === 'open') await this.#next();
    } finally {
      const { code, reason } = await this.#conn.closed;
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`the connection ended before the answer: ${code} ${reason}`));
      }
      this.#waiting.clear();
    }
  }

  async #next(): Promise<void> {
    let message: Call | Answer;
    try {
      message = await this.#conn.readJSON({ schema: Message });
    } catch (error) {
      // Answer a message that is not JSON or not JSON-RPC. The connection stays open.
      if (!(error instanceof JSONError)) {
        if (this.#conn.state !== 'open') return;
        throw error;
      }
      return error.issues.length === 0
        ? this.#fail(null, ErrorCode.parse, 'Parse error')
        : this.#fail(null, ErrorCode.request, 'Invalid Request');
    }
    if ('method' in message) return this.#queue(message);
    const waiting = this.#waiting.get(Number(message.id));
    this.#waiting.delete(Number(message.id));
    if ('error' in message)
      waiting?.reject(new RpcError(message.error.code, message.error.message));
    else waiting?.resolve(message.result);
  }

  /**
   * Runs calls one after another. With too many waiting calls, reading stops. If a method awaits an
   * answer, reading must continue, so the call is refused instead.
   */
  async #queue(call: Call): Promise<void> {
    if (this.#depth >= MOST_WAITING && this.#waiting.size > 0) {
      return this.#fail(call.id, BUSY, 'Too many calls');
    }
    if (this.#depth >= MOST_WAITING) await this.#running;
    this.#depth++;
    this.#running = this.#running
      .then(() => this.#run(call))
      // After a failed write the connection has ended, and serve() reports it.
      .catch(() => {})
      .finally(() => this.#depth--);
  }

  async #run({ id, method: name, params }: Call): Promise<void> {
    const found = this.#methods.get(name);
    if (found === undefined) return this.#fail(id, ErrorCode.method, 'Method not found');
    const checked = v.safeParse(found.params, params);
    if (!checked.success) {
      return this.#fail(id, ErrorCode.params, `Invalid params: ${v.summarize(checked.issues)}`);
    }
    try {
      const result = (await found.run(checked.output as never)) ?? null;
      if (id !== undefined) await this.#conn.writeJSON({ jsonrpc: '2.0', id, result });
    } catch (error) {
      if (error instanceof RpcError) return this.#fail(id, error.code, error.message);
      console.error(error);
      await this.#fail(id, ErrorCode.internal, 'Internal error');
    }
  }

  /** Answers with an error. A call without an id is a notification and gets no answer. */
  async #fail(id: Call['id'], code: number, message: string): Promise<void> {
    if (id !== undefined)
      await this.#conn.writeJSON({ jsonrpc: '2.0', id, error: { code, message } });
  }
}
