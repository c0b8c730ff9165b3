import { payloadLength } from '../../src/chaos/frame-walk.ts';
import type { Meddle } from '../../src/chaos/lane.ts';

/** What a lying network makes of data frames that follow each other; a handshake and control frames pass. */
export type Lie = (frames: Buffer[]) => Buffer[];

/** Bytes of payload that a message needs to tell who it is. */
const TELLING = 12;

/** Cuts a stream into its frames, and passes on what `lie` makes of the first three whole messages in a row. */
export function lying(lie: Lie): Meddle {
  return framewise((frames, done) => {
    const first = frames.findIndex((_, i) => isRun(frames.slice(i, i + 3)));
    if (done || first < 0) return undefined;
    const after = first + 3;
    return [...frames.slice(0, first), ...lie(frames.slice(first, after)), ...frames.slice(after)];
  });
}

/** Leaves out every message that comes from the first three in a row on; controls pass. */
export function forgetful(): Meddle {
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

/** `change` gets the frames that came together, and says what goes in their place, or that it has nothing to say. */
function framewise(change: (frames: Buffer[], done: boolean) => Buffer[] | undefined): Meddle {
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

/** The bytes of the first frame, 0 while it is not whole. */
function frameSize(bytes: Buffer): number {
  const payload = payloadLength(bytes.subarray(0, 14));
  if (payload < 0) return 0;
  const size = headerSize(bytes) + payload;
  return size <= bytes.length ? size : 0;
}

/** The bytes before the payload. */
export function headerSize(frame: Uint8Array): number {
  const short = frame[1]! & 0x7f;
  const extended = short === 127 ? 8 : short === 126 ? 2 : 0;
  return 2 + extended + (frame[1]! >= 0x80 ? 4 : 0);
}
