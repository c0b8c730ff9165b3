import { CloseCode } from '@ws/codec';
import {
  BackpressureError,
  type CloseInfo,
  type Conn,
  isCloseError,
  type Message,
  type MessageData,
  TransportError,
} from '@ws/conn';
import { type Expiry, internalsOf, isError, isThenable } from '@ws/conn/internal';
import type { ProxiedConnection } from '../proxied.ts';
import { CLOSE_TIMEOUT, type EndedBy, type Flow, type Link } from './link.ts';

/**
 * Changes a whole message on its way. Undefined drops the message. It may be async: the messages
 * after it wait, so that they keep their order.
 */
export type TransformMessage = (
  message: Message,
) => Message | MessageData | undefined | PromiseLike<Message | MessageData | undefined>;

/** The option `transform`, in the mode `messages` only. */
export interface Transform {
  /** Messages of the client. */
  readonly toTarget?: TransformMessage | undefined;
  /** Messages of the target. */
  readonly toClient?: TransformMessage | undefined;
}

/** One direction of a {@link MessageLink}. */
interface Pump {
  readonly side: 'client' | 'target';
  readonly from: Conn;
  readonly to: Conn;
  /** Resolves when no more messages pass. */
  ended: Promise<void>;
  /** Whether it waits for a message. */
  idle: boolean;
  /** The login of `from`, if it expires. */
  login?: Expiry;
}

/**
 * The mode `messages`: two connections. Each message is passed on as a stream, before it is
 * complete, unless a function changes it.
 *
 * A close frame of one side passes after its messages. Its answer waits for the messages that the
 * other side sends before its own close frame.
 */
export class MessageLink implements Link {
  readonly #client: Conn;
  readonly #target: Conn;
  readonly #toTarget: Pump;
  readonly #report: (error: unknown) => void;
  readonly #idleTimeout: number;
  #endedBy: EndedBy | undefined;
  /** The code of {@link close}. */
  #closing: number | undefined;
  /** The first close code of the proxy; 1006 after `terminate`. */
  #sent: number | undefined;
  #seen = 0;
  #activeAt = performance.now();
  #endTimer: NodeJS.Timeout | undefined;

  /** @param report - Gets the errors of `transform`. */
  constructor(
    client: Conn,
    target: Conn,
    transform: Transform,
    idleTimeout: number,
    proxied: ProxiedConnection,
    report: (error: unknown) => void,
  ) {
    this.#client = client;
    this.#target = target;
    this.#idleTimeout = idleTimeout;
    this.#report = report;
    const toTarget = this.#pump('client', client, target, transform.toTarget);
    const toClient = this.#pump('target', target, client, transform.toClient);
    client.setCloseHandler((code, reason) => this.#onClose(toTarget, toClient, code, reason));
    target.setCloseHandler((code, reason) => this.#onClose(toClient, toTarget, code, reason));
    this.#toTarget = toTarget;
    void this.#awaitEnds(proxied, toTarget, toClient);
  }

  get in(): Flow {
    return flowOf(this.#client);
  }

  get out(): Flow {
    return flowOf(this.#target);
  }

  /**
   * The target gets its close frame after the last message of the client. No message can follow a
   * close frame, so the messages of the target end here.
   */
  close(code: number): void {
    this.#close(code, false);
  }

  watch(login: Expiry): void {
    this.#toTarget.login = login;
  }

  expire(code: number): void {
    this.#close(code, true);
    this.#endTimer ??= setTimeout(() => this.terminate(), CLOSE_TIMEOUT).unref();
  }

  /** @param discard - Drops what the client sends from now on. */
  #close(code: number, discard: boolean): void {
    this.#endedBy ??= 'proxy';
    this.#sent ??= code;
    this.#closing ??= code;
    void this.#client.close(code, '', { discard });
    void this.#toTarget.ended.then(() => this.#target.close(code));
  }

  terminate(): void {
    this.#endedBy ??= 'proxy';
    this.#sent ??= CloseCode.AbnormalClosure;
    this.#client.terminate();
    this.#target.terminate();
  }

  tick(now: number): void {
    const bytes = this.in.bytes + this.out.bytes;
    if (bytes !== this.#seen) {
      this.#seen = bytes;
      this.#activeAt = now;
    } else if (now - this.#activeAt >= this.#idleTimeout) this.close(CloseCode.GoingAway);
  }

  async #awaitEnds(proxied: ProxiedConnection, toTarget: Pump, toClient: Pump): Promise<void> {
    const endOf = async ({ side, from, to, ended }: Pump): Promise<CloseInfo> => {
      const info = await internalsOf(from).closed;
      this.#endedBy ??= side;
      const ms = this.#closing === undefined ? LAST_MESSAGES_MS : CLOSING_MS;
      await settledWithin([ended, internalsOf(to).closed], ms);
      this.#sent ??= DEATH[side];
      void to.close(this.#closing ?? DEATH[side]);
      return info;
    };
    const [ofClient, ofTarget] = await Promise.all([endOf(toTarget), endOf(toClient)]);
    clearTimeout(this.#endTimer);
    const first = this.#endedBy === 'target' ? ofTarget : ofClient;
    const error = isError(first.error) && !isCloseError(first.error) ? first.error : undefined;
    const { reason } = first;
    const code = first.code === CloseCode.AbnormalClosure ? this.#sent! : first.code;
    proxied.linkEnded({ endedBy: this.#endedBy!, code, reason, error });
  }

  #pump(side: Pump['side'], from: Conn, to: Conn, transform: TransformMessage | undefined): Pump {
    const ended = Promise.resolve();
    const pump: Pump = { side, from, to, ended, idle: false };
    // A close frame of the peer waits for a slow sink.
    internalsOf(from).connHandlerStarted();
    pump.ended = this.#run(pump, transform);
    return pump;
  }

  /** Passes messages on until one of the connections ends. Never rejects. */
  async #run(pump: Pump, transform: TransformMessage | undefined): Promise<void> {
    const { from, to } = pump;
    try {
      if (transform === undefined) for (;;) await passMessage(pump);
      for (;;) await this.#transformMessage(pump, transform);
    } catch (error) {
      // Inside a message the read rejects before the answer to the close frame changes the state. The
      // cause is the close frame then.
      const end = error instanceof TransportError ? error.cause : error;
      const isClose = isCloseError(end);
      if (from.state !== 'open' || (isClose && to.state === 'open')) {
        const code = isClose ? end.closeCode : CloseCode.AbnormalClosure;
        return this.#passEnd(pump, code, isClose ? end.reason : '');
      }
      const isFull = error instanceof BackpressureError;
      const code = isFull ? CloseCode.TryAgainLater : CloseCode.InternalServerErr;
      if (to.state === 'open') this.close(code);
      void from.discardReads();
    } finally {
      internalsOf(from).connHandlerSettled();
    }
  }

  /** The close handler of one side: its close frame passes, and the answer waits for the other side. */
  async #onClose(pump: Pump, reverse: Pump, code: number, reason: string): Promise<void> {
    // When the last messages take long, the handler is called before they have passed.
    if (!pump.idle) return;
    this.#passEnd(pump, code, reason);
    await reverse.ended;
  }

  /** Passes the end of `from` on: its connection may end much later, when a peer does not answer. */
  #passEnd({ side, to }: Pump, code: number, reason: string): void {
    this.#endedBy ??= side;
    const wasClean = code !== CloseCode.AbnormalClosure;
    if (!wasClean) this.#sent ??= DEATH[side];
    if (this.#closing !== undefined) void to.close(this.#closing);
    else void to.close(...passedOn({ code, reason, wasClean }, DEATH[side]));
  }

  async #transformMessage(pump: Pump, transform: TransformMessage): Promise<void> {
    const { from, to } = pump;
    pump.idle = true;
    const message = await from.readMessage();
    pump.idle = false;
    if (pump.login?.check()) return;
    let result: Message | MessageData | undefined;
    try {
      const changed = transform(message);
      result = isThenable(changed) ? await changed : changed;
    } catch (error) {
      this.#report(error);
      throw error;
    }
    if (result !== undefined) await to.send(result);
  }
}

/**
 * Milliseconds in which the messages that came before the end of one side pass to the other: a pump
 * then passes the end on. Without it, the other side is told that the first one has died.
 */
const LAST_MESSAGES_MS = 30_000;
/** The same after {@link MessageLink.close}. */
const CLOSING_MS = 5_000;

/** Waits for the first of `promises`, for at most `ms`. */
async function settledWithin(promises: readonly Promise<unknown>[], ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms).unref();
  });
  await Promise.race([...promises, timeUp]);
  clearTimeout(timer);
}

/** The code that tells one side of the death of the other. */
const DEATH = { client: CloseCode.GoingAway, target: CloseCode.BadGateway } as const;

/** Bytes that one read of a message returns at most. */
const PIECE_SIZE = 64 * 1024;
/** Memory for pieces that no message uses now: new memory for each would wait for a collection. */
const pieces: Uint8Array[] = [];
const MOST_PIECES = 64;

async function passMessage(pump: Pump): Promise<void> {
  const { from, to } = pump;
  pump.idle = true;
  const reader = await from.nextReader();
  pump.idle = false;
  const writer = await to.nextWriter(reader.type);
  const piece = pieces.pop() ?? new Uint8Array(PIECE_SIZE);
  // After a failure the writer stays open: the close code of the link may follow any fragment.
  for (let size: number; (size = await reader.read(piece)) > 0; ) {
    if (pump.login?.check()) continue;
    await writer.write(piece.subarray(0, size));
  }
  await writer.close();
  if (pieces.length < MOST_PIECES) pieces.push(piece);
}

function flowOf({ stats }: Conn): Flow {
  return { bytes: stats.bytesIn, frames: stats.framesIn, messages: stats.messagesIn };
}

/** A code that must not be sent has another one in its place. */
function passedOn(info: CloseInfo, death: number): [code: number, reason: string] {
  if (info.code === CloseCode.NoStatusReceived) return [CloseCode.NormalClosure, ''];
  return info.wasClean ? [info.code, info.reason] : [death, ''];
}
