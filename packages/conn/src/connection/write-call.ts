import { BinaryMessage, CloseMessage, TextMessage } from '@ws/codec';
import { isBytes, lengthOf } from '@ws/codec/internal';
import { badType, checkWriteOptions, type WriteOptions } from '../call-options.ts';
import { TimeoutError } from '../errors.ts';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import { BorrowedMessage } from '../message.ts';
import { untilOf } from '../time/deadline.ts';
import { rejected } from '../time/promises.ts';
import { withTimeout } from '../time/wait.ts';
import {
  bytesOf,
  controlPayload,
  isControlType,
  isUnstable,
  type MessageData,
} from '../writing/payload.ts';
import { checkClosePayload } from '../writing/prepared-message.ts';
import type { Connection } from './connection.ts';
import { sendBytes, sendText } from './messages.ts';

/**
 * Writes a message: see `Conn.writeMessage`.
 *
 * @param method - The method that the caller used, for errors.
 * @param compress - The option `compress`, if `options` is undefined.
 */
export function writeData(
  connection: Connection,
  method: string,
  type: number,
  data: MessageData,
  options: WriteOptions | undefined,
  compress?: boolean,
): Promise<void> {
  if (options !== undefined) return writeWithOptions(connection, method, type, data, options);
  if (type !== TextMessage && type !== BinaryMessage) {
    if (isControlType(type)) return writeControl(connection, type, data, undefined);
    return connection.rejected(badType(type), method);
  }
  try {
    if (typeof data === 'string') return sendText(connection, type, data, compress);
    if (!isBytes(data) && data instanceof BorrowedMessage) {
      data.check();
      const { bytes, start, end, lease } = data;
      return sendBytes(connection, type, bytes, start, end, compress, lease);
    }
    let bytes = bytesOf(data, method);
    const length = lengthOf(bytes);
    if (length >= COPY_BELOW && isUnstable(bytes)) bytes = copyOf(bytes);
    return sendBytes(connection, type, bytes, 0, length, compress);
  } catch (error) {
    return connection.rejected(error, method);
  }
}

/** Writes a message that `options.signal` can cancel while the message waits. */
function writeWithOptions(
  connection: Connection,
  method: string,
  type: number,
  data: MessageData,
  options: WriteOptions,
): Promise<void> {
  try {
    checkWriteOptions(method, options);
  } catch (error) {
    return connection.rejected(error, method);
  }
  const { signal, compress } = options;
  if (signal === undefined) return writeData(connection, method, type, data, undefined, compress);
  if (signal.aborted) return rejected(signal.reason, signal);
  const queue = connection.outbox.queueOrNew();
  const written = queue.withSignal(() =>
    writeData(connection, method, type, data, undefined, compress),
  );
  const message = queue.waitingOf(written);
  if (message === undefined) return written;
  queue.countUntil(written, 0);
  return withTimeout(
    connection.platform,
    { signal },
    () => written,
    (_written, reason) => queue.cancel(message, reason),
  );
}

/** Writes a control frame: see `Conn.writeControl`. */
export function writeControl(
  connection: Connection,
  type: number,
  data: MessageData,
  deadline: Date | number | null | undefined,
): Promise<void> {
  try {
    if (!isControlType(type)) throw badType(type);
    const payload = controlPayload(data, connection.platform, 'writeControl');
    if (type === CloseMessage) checkClosePayload(payload);
    if (deadline !== undefined && untilOf(deadline) <= 0) throw new TimeoutError('write timeout');
    return connection.sendControl(type, payload);
  } catch (error) {
    return connection.rejected(error, 'writeControl');
  }
}
