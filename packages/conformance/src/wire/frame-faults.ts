import { isUtf8 } from 'node:buffer';
import { BINARY, CLOSE, CONTINUATION, type Frame, PONG, RSV1, TEXT } from './frame.ts';

/** What a frame is judged by. */
interface Circumstances {
  readonly fromClient: boolean;
  /** Whether permessage-deflate was agreed on. */
  readonly deflate: boolean;
  /** Whether a fragmented message is under way. */
  readonly open: boolean;
  /** Whether its sender has sent a close frame already. */
  readonly closed: boolean;
}

/** Every rule of RFC 6455 that a frame breaks by itself or in its place, a phrase each. */
export function frameFaults(frame: Frame, given: Circumstances): string[] {
  const { opcode, payload } = frame;
  const control = opcode >= CLOSE;
  const rules: readonly (readonly [broken: boolean, says: string])[] = [
    [given.closed, 'it follows a close frame (5.5.1)'],
    [opcode > PONG || (opcode > BINARY && opcode < CLOSE), `opcode ${opcode} is reserved (5.2)`],
    [given.fromClient && frame.mask === undefined, 'a client must mask (5.1)'],
    [!given.fromClient && frame.mask !== undefined, 'a server must not mask (5.1)'],
    [(frame.rsv & 3) !== 0, 'RSV2 or RSV3 is set (5.2)'],
    [
      (frame.rsv & RSV1) !== 0 && !given.deflate,
      'RSV1 is set, and no extension was agreed on (5.2)',
    ],
    [
      (frame.rsv & RSV1) !== 0 && given.deflate && opcode !== TEXT && opcode !== BINARY,
      "RSV1 is set, and this is not a message's first frame (RFC 7692, 6.1)",
    ],
    [control && !frame.fin, 'a control frame is fragmented (5.5)'],
    [control && payload.length > 125, 'a control frame has more than 125 bytes (5.5)'],
    [opcode === CONTINUATION && !given.open, 'it continues nothing (5.4)'],
    [(opcode === TEXT || opcode === BINARY) && given.open, 'a message is still under way (5.4)'],
    [
      (frame.lengthBits === 16 && payload.length < 126) ||
        (frame.lengthBits === 64 && payload.length < 65_536),
      'its length is not the shortest form (5.2)',
    ],
    [opcode === CLOSE && payload.length === 1, 'a close frame of one byte (5.5.1)'],
    [
      opcode === CLOSE && payload.length > 1 && !mayTravel(payload.readUInt16BE(0)),
      `close code ${payload.length > 1 ? payload.readUInt16BE(0) : ''} must not be sent (7.4)`,
    ],
    [
      opcode === CLOSE && payload.length > 2 && !isUtf8(payload.subarray(2)),
      'the reason of a close frame is not UTF-8 (5.5.1)',
    ],
  ];
  return rules.filter(([broken]) => broken).map(([, says]) => says);
}

/** RFC 6455, 7.4, and the codes that IANA has registered since. */
function mayTravel(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
