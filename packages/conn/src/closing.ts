import { CloseCode } from '@ws/codec';

/** How a connection ended. */
export interface CloseInfo {
  /**
   * The code of the peer's close frame, 1005 when it had none; else the code with which we failed the connection, or
   * 1006 when it ended without a close frame (RFC 6455, section 7.1.5).
   */
  readonly code: number;
  /** The reason of that close frame. */
  readonly reason: string;
  /** Whether both close frames were exchanged (RFC 6455, section 7.1.4). */
  readonly wasClean: boolean;
  /** What ended the connection, when it was a fault. */
  readonly error?: unknown;
}

/** `open` until a close frame is sent or answered, `closed` once the transport is gone. */
export type ConnState = 'open' | 'closing' | 'closed';

// The phases of an end (RFC 6455, section 7). A connection only ever moves down this list.

/** Nothing of an end is known. */
export const OPEN = 0;
/** The peer has ended, by its close frame or its stream's end; messages before that are not all read yet. */
export const ENDING = 1;
/** They are, or the peer has waited long enough: the user's close handler is at work. */
export const ANSWERING = 2;
/** Our close frame is accepted for sending, or none is due: the handshake or the transport's end is awaited. */
export const CLOSING = 3;
/** The transport is gone. What was read ahead can still be read. */
export const GONE = 4;
export type Phase = 0 | 1 | 2 | 3 | 4;

/** Input that is read and dropped after our close frame, so that the peer gets it and no reset. */
const MOST_DROPPED = 1_048_576;

/**
 * What is known of a connection's end: made when there is something to know. Two facts stand beside the phases: `ended`,
 * why reading will end, known as soon as the peer's close frame, its stream's end or a fault is seen; and `inputOver`,
 * that nothing is parsed any more.
 */
export class Closing {
  phase: Phase = OPEN;
  ended: { readonly reason: unknown } | undefined;
  inputOver = false;
  /** The peer has ended its side of the transport. */
  eof = false;
  /** Our close frame was accepted for sending. */
  sent = false;
  /** The peer's close frame. */
  received: { readonly code: number; readonly reason: string } | undefined;
  /** We failed the connection, with this code: the peer or the user's handler broke a rule. */
  failed: { readonly error: unknown; readonly code: number } | undefined;
  /** Why we dropped the transport, or how it broke. */
  lost: unknown;
  /** How it ended, once it has. */
  info: CloseInfo | undefined;
  #dropped = 0;

  get state(): ConnState {
    if (this.phase === GONE) return 'closed';
    return this.phase < ANSWERING ? 'open' : 'closing';
  }

  /** Counts input after our close frame; true when it is more than one waits for. */
  drop(bytes: number): boolean {
    this.#dropped += bytes;
    return this.#dropped > MOST_DROPPED;
  }

  /** The transport is gone; `flushed`: our close frame had left. */
  over(flushed: boolean): CloseInfo {
    const { received, failed } = this;
    const wasClean = received !== undefined && this.sent && flushed && failed === undefined;
    const code = received?.code ?? failed?.code ?? CloseCode.AbnormalClosure;
    const error = failed === undefined ? this.lost : failed.error;
    this.info = {
      code,
      reason: received?.reason ?? '',
      wasClean,
      ...(wasClean || error === undefined ? {} : { error }),
    };
    return this.info;
  }
}
