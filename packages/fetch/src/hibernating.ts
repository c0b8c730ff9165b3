import { DurableObject } from 'cloudflare:workers';
import { utf8Length } from '@ws/browser/internal';
import { negotiate } from './handshake.ts';
import { type AuthOf, checkUpgradeOptions, type UpgradeOptions } from './options.ts';
import { reportTo } from './reports.ts';
import {
  acceptingHeaders,
  MAX_MESSAGE,
  type WorkerSocket,
  webSocketPair,
} from './workers-socket.ts';

/** The most bytes that an attachment may have. */
const MAX_ATTACHMENT = 16_384;

/** A connection of a Durable Object that hibernates: it has no reads, no deadlines and no pings. */
export interface HibernatingConn<Data = unknown> {
  /**
   * The attachment, which survives hibernation: set it again after you have changed it. Setting it
   * throws a RangeError for more than 16 KiB. First it is the result of `authenticate`.
   */
  data: Data;
  /** `''` for none. */
  readonly subprotocol: string;
  readonly state: 'open' | 'closing' | 'closed';
  /** Sends a message: a string as text, bytes as binary. False after the end. */
  send(data: string | ArrayBuffer | Uint8Array): boolean;
  /** Runs the closing handshake. No effect after the end. */
  close(code?: number, reason?: string): void;
}

/** The object in which an event of {@link HibernatingEvents} runs. */
export interface HibernatingRoom<Data = unknown> {
  /** `ctx` of the Durable Object. */
  readonly ctx: unknown;
  /** `env` of the Durable Object. */
  readonly env: unknown;
  /** All connections of the object. */
  connections(): HibernatingConn<Data>[];
}

/** What happens on the connections of the object. An error closes the connection with 1011. */
export interface HibernatingEvents<Data = unknown> {
  readonly open?: (conn: HibernatingConn<Data>, room: HibernatingRoom<Data>) => unknown;
  /**
   * A text is a string, binary data a Uint8Array. Messages of a connection wait for the promise of
   * the one before, within `maxQueuedBytes`.
   */
  readonly message?: (
    conn: HibernatingConn<Data>,
    message: string | Uint8Array,
    room: HibernatingRoom<Data>,
  ) => unknown;
  /** The connection has ended. */
  readonly close?: (
    conn: HibernatingConn<Data>,
    info: { readonly code: number; readonly reason: string; readonly wasClean: boolean },
    room: HibernatingRoom<Data>,
  ) => unknown;
}

/** Options of {@link hibernating}: those of `upgrade` that need no object in memory. */
export type HibernatingOptions<Result> = Omit<
  UpgradeOptions<Result>,
  'server' | 'highWaterMark' | 'maxBufferedAmount'
> &
  HibernatingEvents<AuthOf<Result>>;

interface Attachment {
  readonly data: unknown;
  readonly subprotocol: string;
}

interface State {
  acceptWebSocket(socket: WorkerSocket): void;
  getWebSockets(): WorkerSocket[];
  setWebSocketAutoResponse(pair: unknown): void;
}

declare const WebSocketRequestResponsePair: new (request: string, response: string) => unknown;

/** The class that {@link hibernating} makes. */
export interface HibernatingClass {
  new (ctx: unknown, env: unknown): DurableObject & { fetch(request: Request): Promise<Response> };
}

/**
 * Makes the class of a Durable Object that sleeps between messages, while its clients stay
 * connected. Its `fetch` upgrades every request, or refuses it.
 *
 * @throws TypeError, RangeError that names a bad option.
 *
 * @example
 * ```ts no-run
 * import { hibernating } from '@ws/fetch/workers';
 *
 * export class Room extends hibernating({
 *   message: (_conn, message, room) => {
 *     for (const each of room.connections()) each.send(message);
 *   },
 * }) {}
 * ```
 */
export function hibernating<Result = true>(options: HibernatingOptions<Result>): HibernatingClass {
  const { open, message, close, ...rest } = options as HibernatingOptions<unknown>;
  const plan = checkUpgradeOptions(rest, MAX_MESSAGE);
  const { autoResponse, report } = rest;
  if (
    typeof (autoResponse?.request ?? '') !== 'string' ||
    typeof (autoResponse?.response ?? '') !== 'string'
  ) {
    throw new TypeError('autoResponse: Workers answer strings only while the object sleeps');
  }
  /** The calls of `message` that wait, by connection. */
  const pending = new WeakMap<WorkerSocket, { last: Promise<unknown>; bytes: number }>();

  return class HibernatingObject extends DurableObject {
    readonly #state: State;
    readonly #room: HibernatingRoom<never>;

    constructor(ctx: unknown, env: unknown) {
      super(ctx, env);
      const state = ctx as State;
      this.#state = state;
      this.#room = {
        ctx,
        env,
        connections: () => state.getWebSockets().map((socket) => new SleepingConn(socket) as never),
      };
      if (autoResponse !== undefined) {
        const { request, response } = autoResponse as { request: string; response: string };
        state.setWebSocketAutoResponse(new WebSocketRequestResponsePair(request, response));
      }
    }

    async fetch(request: Request): Promise<Response> {
      const result = await negotiate(request, plan, undefined);
      if (result instanceof Response) return result;
      const [client, socket] = webSocketPair();
      this.#state.acceptWebSocket(socket);
      const { auth, subprotocol } = result;
      attach(socket, { data: auth, subprotocol });
      await this.#call(socket, (conn) => open?.(conn, this.#room));
      return new Response(null, {
        status: 101,
        webSocket: client,
        headers: acceptingHeaders(plan, subprotocol),
      } as ResponseInit);
    }

    webSocketMessage(socket: WorkerSocket, data: string | ArrayBuffer): Promise<void> {
      const isText = typeof data === 'string';
      const bytes = isText ? utf8Length(data) : data.byteLength;
      const { readLimit, maxQueuedBytes } = plan.bounds;
      const waiting = pending.get(socket) ?? { last: Promise.resolve(), bytes: 0 };
      if (bytes > readLimit) return this.#end(socket, 1009);
      if (waiting.bytes > 0 && waiting.bytes + bytes > maxQueuedBytes)
        return this.#end(socket, 1008);
      pending.set(socket, waiting);
      waiting.bytes += bytes;
      const call = waiting.last.then(async () => {
        waiting.bytes -= bytes;
        if (socket.readyState !== 1) return;
        await this.#call(socket, (conn) =>
          message?.(conn, isText ? data : new Uint8Array(data), this.#room),
        );
      });
      waiting.last = call;
      return call;
    }

    async webSocketClose(
      socket: WorkerSocket,
      code: number,
      reason: string,
      wasClean: boolean,
    ): Promise<void> {
      // The runtime leaves the answer to us. 1005 and 1006 are no codes of a close frame.
      closeSocket(socket, [1005, 1006, 1015].includes(code) ? 1000 : code, reason);
      await this.#call(socket, (conn) => close?.(conn, { code, reason, wasClean }, this.#room));
    }

    /** `webSocketClose` with 1006 comes before it. */
    webSocketError(): void {}

    async #end(socket: WorkerSocket, code: number): Promise<void> {
      closeSocket(socket, code, '');
    }

    async #call(
      socket: WorkerSocket,
      event: (conn: HibernatingConn<never>) => unknown,
    ): Promise<void> {
      try {
        await event(new SleepingConn(socket) as unknown as HibernatingConn<never>);
      } catch (error) {
        reportTo(report, error, { where: 'handler' });
        closeSocket(socket, 1011, '');
      }
    }
  };
}

class SleepingConn implements HibernatingConn {
  readonly #socket: WorkerSocket;

  constructor(socket: WorkerSocket) {
    this.#socket = socket;
  }

  get data(): unknown {
    return attachmentOf(this.#socket).data;
  }

  set data(data: unknown) {
    attach(this.#socket, { ...attachmentOf(this.#socket), data });
  }

  get subprotocol(): string {
    return attachmentOf(this.#socket).subprotocol;
  }

  get state(): 'open' | 'closing' | 'closed' {
    const { readyState } = this.#socket;
    return readyState === 1 ? 'open' : readyState === 2 ? 'closing' : 'closed';
  }

  send(data: string | ArrayBuffer | Uint8Array): boolean {
    if (this.#socket.readyState !== 1) return false;
    this.#socket.send(data);
    return true;
  }

  close(code = 1000, reason = ''): void {
    closeSocket(this.#socket, code, reason);
  }
}

function attachmentOf(socket: WorkerSocket): Attachment {
  return socket.deserializeAttachment() as Attachment;
}

/** @throws RangeError for more than the runtime keeps. */
function attach(socket: WorkerSocket, attachment: Attachment): void {
  try {
    socket.serializeAttachment(attachment);
  } catch (cause) {
    throw new RangeError(
      `conn.data: expected data that can be cloned, of at most ${MAX_ATTACHMENT} bytes`,
      { cause },
    );
  }
}

/** Closes a connection that is open, or whose peer has closed it. */
function closeSocket(socket: WorkerSocket, code: number, reason: string): void {
  try {
    socket.close(code, reason);
  } catch {
    // It has ended.
  }
}
