import { ProtocolError } from '../errors.ts';
import { CloseCode, isControl, MAX_CONTROL_PAYLOAD } from '../protocol.ts';

/** First header byte: the last frame of a message (RFC 6455, section 5.2). */
export const FIN = 0x80;
/** First header byte: the three reserved bits. */
export const RSV = 0x70;
/** First header byte: the bit that permessage-deflate uses (RFC 7692, section 6). */
const RSV1 = 0x40;
/** Second header byte: the payload is masked. */
export const MASK = 0x80;

const RSV2 = 0x20;
const RSV3 = 0x10;
const TWO_53 = 2 ** 53;

/**
 * Names the rules that the first two bytes of a frame break, in the order and words of
 * gorilla/websocket. Empty when they break none.
 *
 * @param b0 - FIN, RSV and opcode.
 * @param b1 - MASK and the 7-bit length.
 * @param masked - Whether this end expects masked frames: a server does, a client does not.
 * @param allowedRsv - The reserved bits of the negotiated extensions, as wire bits (`0x40` is
 *   RSV1).
 * @param messageOpen - Whether a message has begun and not ended.
 * @see RFC 6455, sections 5.1 to 5.5; RFC 7692, section 6.1
 */
export function frameFaults(
  b0: number,
  b1: number,
  masked: boolean,
  allowedRsv: number,
  messageOpen: boolean,
): string[] {
  const faults: string[] = [];
  const opcode = b0 & 0x0f;
  const fin = (b0 & FIN) !== 0;
  // RFC 7692, section 6.1: RSV1 describes a message, so only its first frame may have the bit.
  const allowed = opcode === 0 || isControl(opcode) ? allowedRsv & ~RSV1 : allowedRsv;
  const set = b0 & ~allowed;
  if ((set & RSV1) !== 0) faults.push('RSV1 set');
  if ((set & RSV2) !== 0) faults.push('RSV2 set');
  if ((set & RSV3) !== 0) faults.push('RSV3 set');

  if (opcode >= 8 && opcode <= 10) {
    if ((b1 & 0x7f) > MAX_CONTROL_PAYLOAD) faults.push('len > 125 for control');
    if (!fin) faults.push('FIN not set on control');
  } else if (opcode === 1 || opcode === 2) {
    if (messageOpen) faults.push('data before FIN');
  } else if (opcode === 0) {
    if (!messageOpen) faults.push('continuation after FIN');
  } else {
    faults.push(`bad opcode ${opcode}`);
  }
  if (((b1 & MASK) !== 0) !== masked) faults.push('bad MASK');
  return faults;
}

/** The fault of a frame with {@link frameFaults}, which has the same parameters. */
export function frameFault(
  b0: number,
  b1: number,
  masked: boolean,
  allowedRsv: number,
  messageOpen: boolean,
): ProtocolError {
  const faults = frameFaults(b0, b1, masked, allowedRsv, messageOpen);
  const hint = maskHint(faults, masked);
  return new ProtocolError(CloseCode.ProtocolError, faults, 'WS_ERR_PROTOCOL', { hint });
}

/**
 * The likely cause when the MASK bit alone is wrong. In a stream that is no WebSocket, other bits
 * are wrong too, and their faults precede it.
 */
function maskHint([first]: readonly string[], masked: boolean): string | undefined {
  if (first !== 'bad MASK') return undefined;
  return masked
    ? "a frame without a mask: does the peer have role 'server' too?"
    : "a frame with a mask: does the peer have role 'client' too?";
}

/**
 * Judges the extended length in `bytes[start, end)`, which may be incomplete. Returns a fault as
 * soon as no further byte can make the length valid.
 *
 * @param size - Size of the whole extended length in bytes: 2 or 8.
 * @param limit - Largest length that is accepted, in bytes.
 * @see RFC 6455, section 5.2
 */
export function lengthFault(
  bytes: Uint8Array,
  start: number,
  end: number,
  size: 2 | 8,
  limit: number,
): ProtocolError | undefined {
  // The smallest and the largest length that are still possible. Doubles are exact enough for
  // powers of two.
  let least = 0;
  let most = 0;
  for (let i = 0; i < size; i++) {
    const there = start + i < end;
    least = least * 256 + (there ? bytes[start + i]! : 0x00);
    most = most * 256 + (there ? bytes[start + i]! : 0xff);
  }
  // Decided by the byte: a double rounds 2^63 - 1 up to 2^63.
  if (size === 8 && start < end && bytes[start]! >= 0x80) {
    return new ProtocolError(CloseCode.ProtocolError, ['length with top bit set']);
  }
  if (least >= TWO_53) {
    return new ProtocolError(CloseCode.MessageTooBig, ['length of 2^53 or more']);
  }
  if (most < (size === 2 ? 126 : 65536)) {
    return new ProtocolError(CloseCode.ProtocolError, ['non-minimal length']);
  }
  return least <= limit ? undefined : overLimit(limit);
}

/** The fault of a data frame that announces more than `maxFramePayload` bytes. */
export function overLimit(limit: number): ProtocolError {
  return new ProtocolError(CloseCode.MessageTooBig, [`frame over the limit of ${limit} bytes`]);
}

/** Verdicts about a first byte. They are computed by {@link frameFaults}. */
export const FAULTY = 0;
export const DATA_FRAME = 1;
export const CONTROL_FRAME = 2;

/** One table for each set of reserved bits: at most eight, shared by all decoders. */
const tables = new Map<number, Uint8Array>();

/**
 * Returns a table with the verdict for each first byte: entries 0 to 255 while no message is open,
 * 256 to 511 while a message is open. The caller checks the second byte: MASK, and the length of a
 * control frame.
 */
export function firstByteVerdicts(allowedRsv: number): Uint8Array {
  let verdicts = tables.get(allowedRsv);
  if (verdicts !== undefined) return verdicts;
  verdicts = new Uint8Array(512);
  tables.set(allowedRsv, verdicts);
  for (let i = 0; i < 512; i++) {
    const clean = frameFaults(i & 0xff, 0, false, allowedRsv, i > 0xff).length === 0;
    verdicts[i] = !clean ? FAULTY : isControl(i & 0x0f) ? CONTROL_FRAME : DATA_FRAME;
  }
  return verdicts;
}
