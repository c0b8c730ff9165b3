import type { Tamper } from './direction.ts';
import { payloadLength } from './message-counter.ts';

/** Changes three consecutive data frames. */
export type Manipulation = (frames: Buffer[]) => Buffer[];

/** Payload bytes that identify a message. */
const TELLING = 12;

/** Applies `manipulation` to the first three consecutive whole messages. */
export function manipulateOnce(manipulation: Manipulation): Tamper {
  return framewise((frames, done) => {
    const first = frames.findIndex((_, i) => isRun(frames.slice(i, i + 3)));
    if (done || first < 0) return undefined;
    const after = first + 3;
    return [
      ...frames.slice(0, first),
      ...manipulation(frames.slice(first, after)),
      ...frames.slice(after),
    ];
  });
}

/** Drops every message from the first three consecutive ones on. Control frames pass. */
export function dropAll(): Tamper {
  return framewise((frames, done) => {
    if (!done && !frames.some((_, i) => isRun(frames.slice(i, i + 3)))) return undefined;
    return frames.filter((frame) => (frame[0]! & 0x0f) >= 8);
  });
}

function isRun(frames: Buffer[]): boolean {
  const whole = frames.every((frame) => {
    const opcode = frame[0]! & 0x0f;
    const tells = frame.length >= headerSize(frame) + TELLING;
    return tells && frame[0]! >= 0x80 && (opcode === 1 || opcode === 2);
  });
  return whole && frames.length === 3;
}

/** `change` returns replacements for the frames of one chunk, or undefined to pass them. */
function framewise(change: (frames: Buffer[], done: boolean) => Buffer[] | undefined): Tamper {
  let waiting = Buffer.alloc(0);
  let inHead = true;
  let done = false;
  return (bytes) => {
    waiting = Buffer.concat([waiting, bytes]);
    const out: Buffer[] = [];
    if (inHead) {
      const end = waiting.indexOf('\r\n\r\n');
      if (end < 0) return Buffer.alloc(0);
      inHead = false;
      out.push(waiting.subarray(0, end + 4));
      waiting = waiting.subarray(end + 4);
    }
    const frames: Buffer[] = [];
    for (let size = frameSize(waiting); size > 0; size = frameSize(waiting)) {
      frames.push(waiting.subarray(0, size));
      waiting = waiting.subarray(size);
    }
    const changed = change(frames, done);
    done ||= changed !== undefined;
    out.push(...(changed ?? frames));
    return Buffer.concat(out);
  };
}

/** Size of the first frame in bytes; 0 for an incomplete frame. */
function frameSize(bytes: Buffer): number {
  const payload = payloadLength(bytes.subarray(0, 14));
  if (payload < 0) return 0;
  const size = headerSize(bytes) + payload;
  return size <= bytes.length ? size : 0;
}

/** Size of the header in bytes. */
export function headerSize(frame: Uint8Array): number {
  const short = frame[1]! & 0x7f;
  const extended = short === 127 ? 8 : short === 126 ? 2 : 0;
  return 2 + extended + (frame[1]! >= 0x80 ? 4 : 0);
}
