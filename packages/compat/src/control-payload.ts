import { isValidCloseCode } from '@ws/codec';
import { MAX_CONTROL_PAYLOAD } from '@ws/codec/internal';
import { EMPTY } from './bytes.ts';

const LARGEST_REASON = MAX_CONTROL_PAYLOAD - 2;

/** @throws RangeError for more bytes than a control frame may have. */
export function checkControlSize(size: number): void {
  if (size <= MAX_CONTROL_PAYLOAD) return;
  throw new RangeError('The data size must not be greater than 125 bytes');
}

/** RFC 6455, section 5.5.1. */
export function closePayload(
  code: number | undefined,
  data: string | Uint8Array | undefined,
): Buffer {
  if (code === undefined) return EMPTY;
  // The number in the frame has no fraction, and ws takes codes with one.
  if (typeof code !== 'number' || !isValidCloseCode(Math.trunc(code))) {
    throw new TypeError('First argument must be a valid error code number');
  }
  const reason = data === undefined || !data.length ? EMPTY : reasonOf(data);
  const payload = Buffer.allocUnsafe(2 + reason.length);
  payload.writeUInt16BE(code);
  payload.set(reason, 2);
  return payload;
}

function reasonOf(data: string | Uint8Array): Uint8Array {
  const size = Buffer.byteLength(data);
  if (size > LARGEST_REASON) {
    throw new RangeError('The message must not be greater than 123 bytes');
  }
  if (typeof data === 'string') return Buffer.from(data);
  // Of any realm: `instanceof` knows one only.
  if (data[Symbol.toStringTag] === 'Uint8Array') return data;
  throw new TypeError('Second argument must be a string or a Uint8Array');
}
