import { CloseCode } from '@ws/codec';
import {
  type CloseInfo,
  type Conn,
  isCloseError,
  type Message,
  type MessageData,
  TransportError,
} from '@ws/conn';
import { isInstance, isThenable } from '@ws/node-server/internal';
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
    void this.#end(owner);
    void this.#pump(client, target, transform.toTarget);
    void this.#pump(target, client, transform.toClient);
  }

  get in(): Flow {
    return flowOf(this.#client);
  }

  get out(): Flow {
    return flowOf(this.#target);
  }

  close(code: number): void {
    this.#endedBy ??= 'proxy';
    void this.#client.close(code);
    void this.#target.close(code);
  }

  terminate(): void {
    this.#endedBy ??= 'proxy';
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

  async #end(owner: LinkOwner): Promise<void> {
    const client = this.#client.closed.then((info) => {
      this.#endedBy ??= 'client';
      void this.#target.close(...passedOn(info, CloseCode.GoingAway));
      return info;
    });
    const target = this.#target.closed.then((info) => {
      this.#endedBy ??= 'target';
      void this.#client.close(...passedOn(info, CloseCode.BadGateway));
      return info;
    });
    const [ofClient, ofTarget] = await Promise.all([client, target]);
    const first = this.#endedBy === 'target' ? ofTarget : ofClient;
    const error =
      first.error instanceof Error && !isCloseError(first.error) ? first.error : undefined;
    const { code, reason } = first;
    owner.linkEnded({ endedBy: this.#endedBy!, code, reason, error });
  }

  /** Passes messages on until one of the connections ends. Never rejects. */
  async #pump(from: Conn, to: Conn, transform: TransformMessage | undefined): Promise<void> {
    try {
      if (transform === undefined) for (;;) await passMessage(from, to);
      for (;;) await this.#transformMessage(from, to, transform);
    } catch (error) {
      if (from.state !== 'open') return this.#passClose(error, from, to);
      if (to.state === 'open') this.close(CloseCode.InternalServerErr);
      void from.discardReads();
    }
  }

  /**
   * Passes a close frame on when it arrives: its connection may end much later. `closed` tells of
   * any other end.
   */
  #passClose(error: unknown, from: Conn, to: Conn): void {
    if (!isCloseError(error) || error.closeCode === CloseCode.AbnormalClosure) return;
    this.#endedBy ??= from === this.#client ? 'client' : 'target';
    const { closeCode: code, reason } = error;
    void to.close(...passedOn({ code, reason, wasClean: true }, code));
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

/** Bytes that one read of a message returns at most. */
const PIECE_SIZE = 64 * 1024;
/** Memory for pieces that no message uses now: new memory for each would wait for a collection. */
const pieces: Uint8Array[] = [];
const MOST_PIECES = 64;

async function passMessage(from: Conn, to: Conn): Promise<void> {
  const reader = await from.nextReader();
  const writer = await to.nextWriter(reader.type);
  const piece = pieces.pop() ?? new Uint8Array(PIECE_SIZE);
  try {
    for (let size: number; (size = await reader.read(piece)) > 0; ) {
      await writer.write(piece.subarray(0, size));
    }
    await writer.close();
    if (pieces.length < MOST_PIECES) pieces.push(piece);
  } catch (error) {
    // The rest of the message will never come: its connection cannot continue.
    if (!isInstance(error, TransportError)) writer.abort();
    throw error;
  }
}

function flowOf({ stats }: Conn): Flow {
  return { bytes: stats.bytesIn, frames: stats.framesIn, messages: stats.messagesIn };
}

/** A code that must not be sent has another one in its place. */
function passedOn(info: CloseInfo, death: number): [code: number, reason: string] {
  if (info.code === CloseCode.NoStatusReceived) return [CloseCode.NormalClosure, ''];
  return info.wasClean ? [info.code, info.reason] : [death, ''];
}
