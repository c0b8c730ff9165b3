import { CloseCode } from '@ws/codec';
import type { Machine } from '@ws/codec/internal';
import { CloseSentError, errorOf } from '../errors.ts';
import type { CloseInfo } from '../platform/observer.ts';
import { endByCloseFrame, type WriteEnd } from '../writing/write-end.ts';

/**
 * Why a connection ends, as its reads, its writes and `closed` report it. Tells whether an error that
 * comes back from the application is one of these reasons.
 */
export class EndReasons {
  /** Why reading will end: set by the first close frame, end of the stream, or fault. */
  readEnd: { readonly reason: unknown } | undefined;
  /** Why we destroyed the transport, or why it closed. After a clean close, `closed` has no error. */
  error: unknown;
  readonly #machine: Machine;
  #closeFrameEnd: WriteEnd | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The error with which writes reject because of our close frame. */
  get closeFrameEnd(): WriteEnd {
    this.#closeFrameEnd ??= endByCloseFrame();
    return this.#closeFrameEnd;
  }

  /** Whether writes reject with `error` because of our close frame. */
  isCloseSent(error: unknown): boolean {
    return error instanceof CloseSentError && error === this.#closeFrameEnd?.error;
  }

  /**
   * Whether `error` reports the end of this connection. Pending reads, writes and pings reject with
   * such an error. A write after our close frame rejects with another one: see {@link isCloseSent}.
   */
  isKnownEnd(error: unknown): boolean {
    if (error === undefined) return false;
    return this.readEnd?.reason === error || this.error === error;
  }

  /**
   * Whether `error` only says that a write came too late: after our close frame, or after the end of
   * the peer's stream. Earlier messages of the peer may still be unread.
   */
  isLateAnswer(error: unknown): boolean {
    const { failed, sent, peerEnded } = this.#machine;
    if (failed !== undefined || error === undefined) return false;
    if (sent && this.isCloseSent(error)) return true;
    return (sent || peerEnded) && error === this.readEnd?.reason;
  }

  /**
   * The value of `closed`.
   *
   * @param flushed - Whether the operating system got all our frames before the transport closed.
   */
  infoOf(flushed: boolean): CloseInfo {
    const { received, failed, sent } = this.#machine;
    const wasClean = received !== undefined && sent && flushed && failed === undefined;
    const error = errorOf(failed === undefined ? this.error : failed.error);
    return {
      code: received?.code ?? failed?.code ?? CloseCode.AbnormalClosure,
      reason: received?.reason ?? '',
      wasClean,
      ...(wasClean || error === undefined ? {} : { error }),
    };
  }
}
