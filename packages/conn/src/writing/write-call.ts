import { BinaryMessage, CloseMessage, TextMessage } from '@ws/codec';
import { badType, checkWriteOptions, isControlType, type WriteOptions } from '../call-options.ts';
import type { Connection } from '../connection/connection.ts';
import { TimeoutError } from '../errors.ts';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import { untilOf } from '../time/deadline.ts';
import { RESOLVED, rejected } from '../time/promises.ts';
import { withTimeout } from '../time/wait.ts';
import { bytesOf, controlPayload, isBorrowed, isUnstable, type MessageData } from './payload.ts';
import { checkClosePayload } from './prepared-message.ts';

/**
 * Writes a message: see `Conn.writeMessage`.
 *
 * @param method - The method that the caller used, for errors.
 */
export function writeData(
  connection: Connection,
  method: string,
  type: number,
  data: MessageData,
  options: WriteOptions | undefined,
): Promise<void> {
  if (options !== undefined) return writeWithOptions(connection, method, type, data, options);
  return write(connection, method, type, data, undefined);
}

/** Writes a message that `options.signal` takes back while it waits. */
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
  if (signal === undefined) return write(connection, method, type, data, compress);
  if (signal.aborted) return rejected(signal.reason, signal);
  const order = connection.outbound.writeOrder();
  const written = order.withSignal(() => write(connection, method, type, data, compress));
  const message = order.messageOf(written);
  if (message === undefined) return written;
  order.countUntil(written, 0);
  return withTimeout(
    connection.platform,
    { signal },
    () => written,
    (_written, reason) => order.cancel(message, reason),
  );
}

function write(
  connection: Connection,
  method: string,
  type: number,
  data: MessageData,
  compress: boolean | undefined,
): Promise<void> {
  if (type !== TextMessage && type !== BinaryMessage) {
    if (isControlType(type)) return writeControl(connection, type, data, undefined);
    return connection.rejected(badType(type), method);
  }
  const { outbound } = connection;
  try {
    if (typeof data === 'string') return outbound.sendText(type, data, compress);
    if (!(data instanceof Uint8Array) && isBorrowed(data)) {
      data.check();
      const { bytes, start, end, lease } = data;
      return outbound.sendBytes(type, bytes, start, end, compress, lease);
    }
    let bytes = bytesOf(data, method);
    if (bytes.length >= COPY_BELOW && isUnstable(bytes)) bytes = copyOf(bytes);
    return outbound.sendBytes(type, bytes, 0, bytes.length, compress);
  } catch (error) {
    return connection.rejected(error, method);
  }
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
    return connection.control(type, payload);
  } catch (error) {
    return connection.rejected(error, 'writeControl');
  }
}
