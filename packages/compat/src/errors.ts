import { CloseCode, type FrameDecoder, ProtocolError, type Role } from '@ws/codec';

/** The bit of permessage-deflate in the first byte of a frame (RFC 7692, section 6). */
export const RSV1 = 0x40;

/** An error with a code that never changes, and the close code that the peer gets. */
export interface FaultError extends Error {
  code: string;
  [CLOSE_CODE]: number;
}

/** Names the close code of an error. The description is that of ws. */
export const CLOSE_CODE: unique symbol = Symbol('status-code');

/** Creates an error that ends a connection with `closeCode`. */
function fault(error: Error, closeCode: number, code: string): FaultError {
  return Object.assign(error, { code, [CLOSE_CODE]: closeCode });
}

function frameFault(text: string, code: string): FaultError {
  const error = new RangeError(`Invalid WebSocket frame: ${text}`);
  return fault(error, CloseCode.ProtocolError, code);
}

export function tooLong(): FaultError {
  const error = new RangeError('Max payload size exceeded');
  return fault(error, CloseCode.MessageTooBig, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
}

export function tooManyParts(parts: 'buffered chunks' | 'message fragments'): FaultError {
  const error = new RangeError(`Too many ${parts}`);
  return fault(error, CloseCode.PolicyViolation, 'WS_ERR_TOO_MANY_BUFFERED_PARTS');
}

export function invalidText(): FaultError {
  const error = new Error('Invalid WebSocket frame: invalid UTF-8 sequence');
  return fault(error, CloseCode.InvalidFramePayloadData, 'WS_ERR_INVALID_UTF8');
}

function invalidControlLength(length: number): FaultError {
  return frameFault(`invalid payload length ${length}`, 'WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH');
}

/** The code and number are those of zlib, which ws passes on. */
export function invalidDeflate(): FaultError {
  const error = Object.assign(new Error('invalid compressed data'), { errno: -3 });
  return fault(error, CloseCode.InvalidFramePayloadData, 'Z_DATA_ERROR');
}

/** zlib could not allocate its memory. */
export function outOfMemory(error: Error): FaultError {
  return fault(error, CloseCode.InternalServerErr, 'ERR_ZLIB_INITIALIZATION_FAILED');
}

function invalidOpcode(opcode: number): FaultError {
  return frameFault(`invalid opcode ${opcode}`, 'WS_ERR_INVALID_OPCODE');
}

const RSV1_FAULT = ['RSV1 must be clear', 'WS_ERR_UNEXPECTED_RSV_1'] as const;

/**
 * The error of ws for a fault that the codec reports.
 *
 * @param deflates - Whether RSV1 is negotiated.
 */
export function faultOf(
  error: Error,
  frame: FrameDecoder | undefined,
  role: Role,
  deflates: boolean,
): FaultError {
  if (!(error instanceof ProtocolError)) return error as FaultError;
  const { code, faults } = error;
  const [first = ''] = faults;
  if (code === 'WS_ERR_INVALID_DEFLATE') return invalidDeflate();
  if (first === 'close payload of one byte') return invalidControlLength(1);
  if (first.startsWith('bad close code')) {
    const closeCode = first.split(' ').at(-1);
    return frameFault(`invalid status code ${closeCode}`, 'WS_ERR_INVALID_CLOSE_CODE');
  }
  if (first.startsWith('frame over the limit') || first.startsWith('message of more')) {
    return tooLong();
  }
  if (first.startsWith('non-minimal')) {
    return frameFault('payload length is not minimal', 'WS_ERR_NON_MINIMAL_PAYLOAD_LENGTH');
  }
  if (first.startsWith('length')) {
    const tooLarge = new RangeError('Unsupported WebSocket frame: payload length > 2^53 - 1');
    return fault(tooLarge, CloseCode.MessageTooBig, 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH');
  }
  return errorOfHeader(frame!, faults, role, deflates);
}

/** The first fault in the order in which ws looks for them. */
function errorOfHeader(
  { opcode, fin, rsv, length }: FrameDecoder,
  faults: readonly string[],
  role: Role,
  deflates: boolean,
): FaultError {
  const compressed = (rsv & RSV1) !== 0;
  if ((rsv & ~RSV1) !== 0) {
    return frameFault('RSV2 and RSV3 must be clear', 'WS_ERR_UNEXPECTED_RSV_2_3');
  }
  if (compressed && (!deflates || opcode === 0)) return frameFault(...RSV1_FAULT);
  if (opcode < 3) {
    if (faults.some((text) => text === 'data before FIN' || text === 'continuation after FIN')) {
      return invalidOpcode(opcode);
    }
  } else if (opcode >= 8 && opcode <= 10) {
    if (!fin) return frameFault('FIN must be set', 'WS_ERR_EXPECTED_FIN');
    if (compressed) return frameFault(...RSV1_FAULT);
    if (length > 125 || (opcode === 8 && length === 1)) return invalidControlLength(length);
  } else {
    return invalidOpcode(opcode);
  }
  return role === 'server'
    ? frameFault('MASK must be set', 'WS_ERR_EXPECTED_MASK')
    : frameFault('MASK must be clear', 'WS_ERR_UNEXPECTED_MASK');
}
