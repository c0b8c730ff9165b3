import { DurableObject } from 'cloudflare:workers';
import { checkClose, MESSAGE_COST } from '@ws/browser/internal';
import { utf8Length } from '@ws/codec/internal';
import type { CloseInfo } from '@ws/conn';
import { type AuthOf, badType, bytesOfView, checkNames } from '@ws/conn/internal';
import { negotiate, refuse } from './handshake.ts';
import { type AdmitOrRefuse, checkUpgradeOptions, type UpgradeOptions } from './options.ts';
import { reportOnce, reportTo } from './reports.ts';
import { isResponse } from './responses.ts';
import { SERVER } from './server-conn.ts';
import {
  acceptingHeaders,
  closeSocket,
  endUnused,
  MAX_MESSAGE,
  type WorkerSocket,
  webSocketPair,
} from './workers-socket.ts';

/** How a connection ends without a close frame. */
const LOST = { code: 1006, reason: '', wasClean: false };
/** The time in ms in which the Response must be returned. A longer timer would keep the object awake. */
const UNUSED = 1_000;
/** The `readyState` of a connection that neither end has closed. */
const OPEN = 1;
/** Marks our sockets, also while the object sleeps. Its subclass may accept others. */
const TAG = '@ws/fetch';
/** The most bytes that an attachment may have. */
const MAX_ATTACHMENT = 16_384;
/** The most bytes of each text of `autoResponse`. */
const MAX_AUTO_RESPONSE = 2_048;

/** A connection of a Durable Object that hibernates: it has no reads, no deadlines and no pings. */
export interface HibernatingConn<Data = unknown> {
  /**
   * The attachment, which survives hibernation: set it again after you have changed it. Setting it
   * throws a RangeError for more than 16 KiB. First it is what `authenticate` has admitted.
   */
  data: Data;
  /** `''` for none. */
  readonly subprotocol: string;
  readonly state: 'open' | 'closing' | 'closed';
  /**
   * Sends a message: a string as text, bytes as binary. False after the end, and above
   * `maxBufferedAmount`: the client does not read, and the connection closes with 1013.
   */
  send(data: string | ArrayBuffer | Uint8Array): boolean;
  /**
   * Runs the closing handshake. No effect after the end.
   *
   * @throws TypeError, RangeError for a code or a reason that cannot be sent.
   */
  close(code?: number, reason?: string): void;
}

/** The object in which an event of {@link HibernatingEvents} runs. */
export interface HibernatingRoom<Data = unknown> {
  /** `ctx` of the Durable Object. */
  readonly ctx: unknown;
  /** `env` of the Durable Object. */
  readonly env: unknown;
  /** All open connections of the object: none after its `close`. */
  connections(): HibernatingConn<Data>[];
}

/** Events on the connections of the object. An error closes the connection with 1011. */
export interface HibernatingEvents<Data = unknown> {
  /**
   * A client has connected. Messages wait for its promise, so it must not wait for a message itself.
   */
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
    info: Pick<CloseInfo, 'code' | 'reason' | 'wasClean'>,
    room: HibernatingRoom<Data>,
  ) => unknown;
}

/** Options of {@link hibernating}, which has the options of `upgrade` that need no object in memory. */
export type HibernatingOptions<Result extends AdmitOrRefuse> = Omit<
  UpgradeOptions<Result>,
  'server' | 'highWaterMark'
> &
  HibernatingEvents<AuthOf<Result>> & {
    /**
     * A text that the runtime answers while the object sleeps, and the answer. Each has at most 2,048
     * bytes. Default: none.
     */
    readonly autoResponse?: { readonly request: string; readonly response: string } | undefined;
  };

/** The fields of a connection that survive the sleep. */
type Attachment = Pick<HibernatingConn, 'data' | 'subprotocol'>;

/** The calls of the events of a connection. */
interface Pending {
  last: Promise<void>;
  /** Bytes of the messages that wait, with their costs. */
  cost: number;
  /** We have closed it. The messages that wait are dropped. Later ones find a closed socket. */
  isClosed: boolean;
  /** Its event `close` was called. */
  hasEnded: boolean;
}

interface State {
  acceptWebSocket(socket: WorkerSocket, tags: string[]): void;
  getWebSockets(tag: string): WorkerSocket[];
  getTags(socket: WorkerSocket): string[];
  setWebSocketAutoResponse(pair: unknown): void;
}

declare const WebSocketRequestResponsePair: new (request: string, response: string) => unknown;

/** The class that {@link hibernating} makes. */
export type HibernatingClass = new (
  ctx: unknown,
  env: unknown,
) => DurableObject & { fetch(request: Request): Promise<Response> };

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
export function hibernating<Result extends AdmitOrRefuse = true>(
  options: HibernatingOptions<Result>,
): HibernatingClass {
  const { open, message, close, autoResponse, ...rest } =
    options as HibernatingOptions<AdmitOrRefuse>;
  const plan = checkUpgradeOptions(rest, MAX_MESSAGE);
  const { report } = rest;
  checkAutoResponse(autoResponse);
  const reportedTo = new WeakSet();
  const pending = new WeakMap<WorkerSocket, Pending>();
  const pendingOf = (socket: WorkerSocket): Pending => {
    const known = pending.get(socket) ?? {
      last: Promise.resolve(),
      cost: 0,
      isClosed: false,
      hasEnded: false,
    };
    pending.set(socket, known);
    return known;
  };
  /** Closes a connection, and drops its messages. */
  const end = (socket: WorkerSocket, code: number, reason = ''): void => {
    // The answer to the peer's close drops nothing.
    if (socket.readyState === OPEN) pendingOf(socket).isClosed = true;
    closeSocket(socket, code, reason);
  };
  const connOf = (socket: WorkerSocket): HibernatingConn<never> =>
    new SleepingConn(socket, plan.bounds.maxBufferedAmount, end) as never;

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
        connections: () =>
          state
            .getWebSockets(TAG)
            .filter(({ readyState }) => readyState === OPEN)
            .map(connOf),
      };
      if (autoResponse !== undefined) {
        const { request, response } = autoResponse;
        state.setWebSocketAutoResponse(new WebSocketRequestResponsePair(request, response));
      }
    }

    async fetch(request: Request): Promise<Response> {
      const result = await negotiate(request, plan, undefined, true);
      if (isResponse(result)) return result;
      const [client, socket] = webSocketPair();
      const { auth, subprotocol } = result;
      try {
        attach(socket, { data: auth, subprotocol });
      } catch (error) {
        reportTo(report, error, { where: 'authenticate', request, status: 500 });
        return refuse(500, 'Internal Server Error');
      }
      // Only now: `connections()` contains it from here on.
      this.#state.acceptWebSocket(socket, [TAG]);
      void this.#inOrder(pendingOf(socket), () =>
        this.#call(socket, (conn) => open?.(conn, this.#room)),
      );
      endUnused(client, UNUSED, () => void this.#ended(socket, LOST));
      return new Response(null, {
        status: 101,
        webSocket: client,
        headers: acceptingHeaders(plan, subprotocol),
      } as ResponseInit);
    }

    webSocketMessage(socket: WorkerSocket, data: string | ArrayBuffer): Promise<void> | void {
      if (!this.#isOwn(socket)) return this.#refuse(socket);
      const isText = typeof data === 'string';
      const bytes = isText ? utf8Length(data) : data.byteLength;
      const { readLimit, maxQueuedBytes } = plan.bounds;
      const waiting = pendingOf(socket);
      const cost = bytes + MESSAGE_COST;
      // The peer of a closed connection may still send. The state survives the sleep.
      if (socket.readyState !== OPEN) return;
      if (bytes > readLimit) return end(socket, 1009);
      if (waiting.cost > 0 && waiting.cost + cost > maxQueuedBytes) return end(socket, 1013);
      waiting.cost += cost;
      return this.#inOrder(waiting, async () => {
        waiting.cost -= cost;
        if (waiting.isClosed) return;
        await this.#call(socket, (conn) =>
          message?.(conn, isText ? data : new Uint8Array(data), this.#room),
        );
      });
    }

    webSocketClose(
      socket: WorkerSocket,
      code: number,
      reason: string,
      wasClean: boolean,
    ): Promise<void> {
      // The runtime leaves the answer to us. Messages that have come before can still be read.
      closeSocket(socket, code, reason);
      return this.#ended(socket, { code, reason, wasClean });
    }

    #isOwn(socket: WorkerSocket): boolean {
      return pending.has(socket) || this.#state.getTags(socket).includes(TAG);
    }

    #refuse(socket: WorkerSocket): void {
      closeSocket(socket, 1011);
      const error = new TypeError(
        'a WebSocket was accepted by the subclass of hibernating(); handle its events before you call super, or let super.fetch accept it',
      );
      reportOnce(reportedTo, options, report, error, { where: 'handler' });
    }

    /** Workers call `webSocketClose` after the loss of a connection, not after a fault of the peer. */
    webSocketError(socket: WorkerSocket): Promise<void> {
      if (this.#isOwn(socket)) end(socket, 1011);
      return this.#ended(socket, LOST);
    }

    #ended(socket: WorkerSocket, info: CloseInfo): Promise<void> {
      if (!this.#isOwn(socket)) return Promise.resolve();
      const waiting = pendingOf(socket);
      if (waiting.hasEnded) return waiting.last;
      waiting.hasEnded = true;
      return this.#inOrder(waiting, () =>
        this.#call(socket, (conn) => close?.(conn, info, this.#room)),
      );
    }

    #inOrder(waiting: Pending, call: () => Promise<void>): Promise<void> {
      return (waiting.last = waiting.last.then(call));
    }

    async #call(
      socket: WorkerSocket,
      event: (conn: HibernatingConn<never>) => unknown,
    ): Promise<void> {
      try {
        await event(connOf(socket));
      } catch (error) {
        reportTo(report, error, { where: 'handler' });
        end(socket, 1011);
      }
    }
  };
}

class SleepingConn implements HibernatingConn {
  readonly #socket: WorkerSocket;
  readonly #maxBufferedAmount: number;
  readonly #end: (socket: WorkerSocket, code: number, reason?: string) => void;

  constructor(
    socket: WorkerSocket,
    maxBufferedAmount: number,
    end: (socket: WorkerSocket, code: number, reason?: string) => void,
  ) {
    this.#socket = socket;
    this.#maxBufferedAmount = maxBufferedAmount;
    this.#end = end;
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
    return readyState === OPEN ? 'open' : readyState === 2 ? 'closing' : 'closed';
  }

  send(data: string | ArrayBuffer | Uint8Array): boolean {
    const socket = this.#socket;
    if (socket.readyState !== OPEN) return false;
    const { bufferedAmount } = socket;
    // The `byteLength` of a view of the application may be wrong.
    const message = ArrayBuffer.isView(data) ? bytesOfView(data) : data;
    const size = typeof message === 'string' ? utf8Length(message) : message.byteLength;
    // An empty queue takes one message of any size.
    if (bufferedAmount > 0 && bufferedAmount + size > this.#maxBufferedAmount) {
      this.#end(socket, 1013, 'slow consumer');
      return false;
    }
    socket.send(message);
    return true;
  }

  close(code = 1000, reason = ''): void {
    checkClose(SERVER, code, reason);
    this.#end(this.#socket, code, reason);
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

/** @throws TypeError, RangeError that names the option. */
function checkAutoResponse(value: HibernatingOptions<AdmitOrRefuse>['autoResponse']): void {
  if (value === undefined) return;
  checkNames('autoResponse', value, ['request', 'response'], 'reject');
  const { request, response } = value;
  for (const [name, text] of Object.entries<unknown>({ request, response })) {
    if (typeof text !== 'string') throw badType(`autoResponse.${name}: expected a string`, text);
    const size = utf8Length(text);
    if (size > MAX_AUTO_RESPONSE) {
      const most = `at most ${MAX_AUTO_RESPONSE} bytes, which the runtime takes`;
      throw new RangeError(`autoResponse.${name}: expected ${most}; got ${size}`);
    }
  }
}
