import { isUtf8 } from 'node:buffer';
import { BINARY, CLOSE, CONTINUATION, type Frame, PONG, RSV1, TEXT } from './frame.ts';

/** State of the connection before a frame. */
interface FrameContext {
  /** True for a frame from a client. */
  readonly fromClient: boolean;
  /** True when permessage-deflate was negotiated. */
  readonly deflate: boolean;
  /** True while a fragmented message is unfinished. */
  readonly open: boolean;
  /** True when the sender has already sent a close frame. */
  readonly closed: boolean;
}

/** Lists the rules of RFC 6455 that a frame breaks, alone or in its context, one phrase each. */
export function frameFaults(frame: Frame, given: FrameContext): string[] {
  const { opcode, payload } = frame;
  const control = opcode >= CLOSE;
  const rules: readonly (readonly [broken: boolean, fault: string])[] = [
    [given.closed, 'it follows a close frame (5.5.1)'],
    [opcode > PONG || (opcode > BINARY && opcode < CLOSE), `opcode ${opcode} is reserved (5.2)`],
    [given.fromClient && frame.mask === undefined, 'a client must mask (5.1)'],
    [!given.fromClient && frame.mask !== undefined, 'a server must not mask (5.1)'],
    [(frame.rsv & 3) !== 0, 'RSV2 or RSV3 is set (5.2)'],
    [
      (frame.rsv & RSV1) !== 0 && !given.deflate,
      'RSV1 is set, but no extension was negotiated (5.2)',
    ],
    [
      (frame.rsv & RSV1) !== 0 && given.deflate && opcode !== TEXT && opcode !== BINARY,
      'RSV1 is set, but this is not the first frame of a message (RFC 7692, 6.1)',
    ],
    [control && !frame.fin, 'a control frame is fragmented (5.5)'],
    [control && payload.length > 125, 'a control frame has more than 125 bytes (5.5)'],
    [opcode === CONTINUATION && !given.open, 'there is no message to continue (5.4)'],
    [(opcode === TEXT || opcode === BINARY) && given.open, 'a message is still unfinished (5.4)'],
    [
      (frame.lengthBits === 16 && payload.length < 126) ||
        (frame.lengthBits === 64 && payload.length < 65_536),
      'its length is not in the shortest form (5.2)',
    ],
    [opcode === CLOSE && payload.length === 1, 'a close frame has one byte (5.5.1)'],
    [
      opcode === CLOSE && payload.length > 1 && isForbiddenCode(payload.readUInt16BE(0)),
      `close code ${payload.length > 1 ? payload.readUInt16BE(0) : ''} must not be sent (7.4)`,
    ],
    [
      opcode === CLOSE && payload.length > 2 && !isUtf8(payload.subarray(2)),
      'the reason of a close frame is not UTF-8 (5.5.1)',
    ],
  ];
  return rules.filter(([broken]) => broken).map(([, fault]) => fault);
}

/** Codes of no use, and those that only APIs report (RFC 6455, 7.4.1 and 7.4.2). */
function isForbiddenCode(code: number): boolean {
  return code < 1000 || code === 1005 || code === 1006 || code === 1015;
}

/** Whether a code has a meaning in RFC 6455, 7.4, or in the IANA registry. */
export function isAssignedCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
