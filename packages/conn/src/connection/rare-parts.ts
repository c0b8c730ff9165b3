import { formatCloseMessage } from '@ws/codec';
import type { CloseInfo } from '../close-info.ts';
import type { ControlFrames } from '../control/control-frames.ts';
import { type BackpressureError, TimeoutError } from '../errors.ts';
import { Deadline } from '../time/deadline.ts';
import type { Deferred } from '../time/promises.ts';
import { type LateRejection, rejectedLater } from '../time/refusal.ts';
import { overLimit } from '../writing/backpressure.ts';
import type { Connection } from './connection.ts';
import { FlowControl } from './flow-control.ts';

/** The close code of applications for a login that is missing or over. */
const LOGIN_EXPIRED = 4401;

/**
 * What few connections need: one object, created on first use, with parts that are created on first
 * use. An idle connection has none.
 */
export class RareParts {
  controlFrames: ControlFrames | undefined;
  /** Created by the first pause. */
  flowControl: FlowControl | undefined;
  closed: Deferred<CloseInfo> | undefined;
  messagesDropped = 0;
  messagesRefused = 0;
  readonly #connection: Connection;
  #readDeadline: Deadline | undefined;
  #writeDeadline: Deadline | undefined;
  #expiry: Deadline | undefined;
  /** Whether a refusal that no code awaits was reported. */
  #refusalReported = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  pause(): void {
    this.flowControl ??= new FlowControl(this.#connection);
    this.flowControl.pause();
  }

  setReadDeadline(at: Date | number | null): void {
    const connection = this.#connection;
    this.#readDeadline ??= new Deadline(connection.platform, (when) => {
      connection.reader.expire(deadlineError('read', when));
    });
    this.#readDeadline.set(at);
  }

  setWriteDeadline(at: Date | number | null): void {
    const connection = this.#connection;
    this.#writeDeadline ??= new Deadline(connection.platform, (when) => {
      connection.guardTransport(() => {
        const { sendQueue, writer } = connection;
        sendQueue.expire(deadlineError('write', when), writer.waitingBytes);
      });
    });
    this.#writeDeadline.set(at);
  }

  /** What the peer sends after the end of its login is dropped. */
  setExpiry(at: Date | number | null): void {
    const connection = this.#connection;
    this.#expiry ??= new Deadline(connection.platform, () => {
      const payload = formatCloseMessage(LOGIN_EXPIRED, 'login expired');
      connection.startClose(payload, undefined, true);
    });
    this.#expiry.set(at);
  }

  stopTimers(): void {
    this.flowControl?.stop();
    this.#readDeadline?.clear();
    this.#writeDeadline?.clear();
    this.#expiry?.clear();
  }

  /**
   * Returns the promise of a call that exceeds a bound. The first refusal that no code awaits is
   * reported: it has no other trace.
   */
  refuse(error: BackpressureError, where: string): LateRejection {
    const connection = this.#connection;
    return rejectedLater(connection.platform, error, () => {
      if (this.#refusalReported) return;
      this.#refusalReported = true;
      connection.report(error, where);
    });
  }

  /** See {@link Connection.skipBroadcast}. */
  skipBroadcast(size: number): void {
    this.messagesRefused++;
    const connection = this.#connection;
    const { settings, bufferedAmount, platform } = connection;
    const error =
      overLimit(settings, bufferedAmount, size, undefined) ??
      platform.writeBudget?.refusal(connection, size);
    if (this.#refusalReported || error === undefined) return;
    this.#refusalReported = true;
    // Not within the loop of the broadcast: `report` may close connections.
    platform.yield(() => connection.report(error, 'broadcast'));
  }
}

/** @param when - As {@link Deadline} describes it. */
function deadlineError(call: 'read' | 'write', when: string): TimeoutError {
  const setter = call === 'read' ? 'setReadDeadline' : 'setWriteDeadline';
  return new TimeoutError(`${call} timeout${when} (${setter})`, { permanent: true });
}
