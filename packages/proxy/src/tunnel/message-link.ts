import { CloseCode } from '@ws/codec';
import { type CloseInfo, type Conn, isCloseError, type Message, type MessageData } from '@ws/conn';
import { isError } from '@ws/conn/internal';
import { isThenable } from '@ws/node-server/internal';
import type { EndedBy, Flow, Link, LinkOwner } from './link.ts';

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

/**
 * The mode `messages`: two connections. Each message is passed on as a stream, before it is
 * complete, unless a function changes it.
 */
export class MessageLink implements Link {
  readonly #client: Conn;
  readonly #target: Conn;
  readonly #report: (error: unknown) => void;
  readonly #idleTimeout: number;
  #endedBy: EndedBy | undefined;
  /** The first close code of the proxy; 1006 after `terminate`. */
  #sent: number | undefined;
  #seen = 0;
  #activeAt = performance.now();

  /** @param report - Gets the errors of `transform`. */
  constructor(
    client: Conn,
    target: Conn,
    transform: Transform,
    idleTimeout: number,
    owner: LinkOwner,
    report: (error: unknown) => void,
  ) {
    this.#client = client;
    this.#target = target;
    this.#idleTimeout = idleTimeout;
    this.#report = report;
    const toTarget = this.#pump(client, target, transform.toTarget);
    const toClient = this.#pump(target, client, transform.toClient);
    void this.#end(owner, toTarget, toClient);
  }

  get in(): Flow {
    return flowOf(this.#client);
  }

  get out(): Flow {
    return flowOf(this.#target);
  }

  close(code: number): void {
    this.#endedBy ??= 'proxy';
    this.#sent ??= code;
    void this.#client.close(code);
    void this.#target.close(code);
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

  async #end(owner: LinkOwner, toTarget: Promise<void>, toClient: Promise<void>): Promise<void> {
    const client = this.#client.closed.then(async (info) => {
      this.#endedBy ??= 'client';
      await settledWithin([toTarget, this.#target.closed], LAST_MESSAGES_MS);
      this.#sent ??= DEATH.client;
      void this.#target.close(DEATH.client);
      return info;
    });
    const target = this.#target.closed.then(async (info) => {
      this.#endedBy ??= 'target';
      await settledWithin([toClient, this.#client.closed], LAST_MESSAGES_MS);
      this.#sent ??= DEATH.target;
      void this.#client.close(DEATH.target);
      return info;
    });
    const [ofClient, ofTarget] = await Promise.all([client, target]);
    const first = this.#endedBy === 'target' ? ofTarget : ofClient;
    const error = isError(first.error) && !isCloseError(first.error) ? first.error : undefined;
    const { reason } = first;
    const code = first.code === CloseCode.AbnormalClosure ? this.#sent! : first.code;
    owner.linkEnded({ endedBy: this.#endedBy!, code, reason, error });
  }

  /** Passes messages on until one of the connections ends. Never rejects. */
  async #pump(from: Conn, to: Conn, transform: TransformMessage | undefined): Promise<void> {
    try {
      if (transform === undefined) for (;;) await passMessage(from, to);
      for (;;) await this.#transformMessage(from, to, transform);
    } catch (error) {
      // Inside a message the read rejects before the answer to the close frame changes the state.
      const isClosed = from.state !== 'open' || (isCloseError(error) && to.state === 'open');
      if (isClosed) return this.#passEnd(error, from, to);
      if (to.state === 'open') this.close(CloseCode.InternalServerErr);
      void from.discardReads();
    }
  }

  /**
   * Passes the end of `from` on as soon as reading fails: its connection may end much later, when a
   * peer does not answer.
   */
  #passEnd(error: unknown, from: Conn, to: Conn): void {
    const side = from === this.#client ? 'client' : 'target';
    this.#endedBy ??= side;
    const code = isCloseError(error) ? error.closeCode : CloseCode.AbnormalClosure;
    const reason = isCloseError(error) ? error.reason : '';
    const wasClean = code !== CloseCode.AbnormalClosure;
    if (!wasClean) this.#sent ??= DEATH[side];
    void to.close(...passedOn({ code, reason, wasClean }, DEATH[side]));
  }

  async #transformMessage(from: Conn, to: Conn, transform: TransformMessage): Promise<void> {
    const message = await from.readMessage();
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

async function passMessage(from: Conn, to: Conn): Promise<void> {
  const reader = await from.nextReader();
  const writer = await to.nextWriter(reader.type);
  const piece = pieces.pop() ?? new Uint8Array(PIECE_SIZE);
  // After a failure the writer stays open: the close code of the link may follow any fragment.
  for (let size: number; (size = await reader.read(piece)) > 0; ) {
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
