import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { letters, pattern } from '../wire/bytes.ts';
import type { SentMessage } from '../wire/expect.ts';
import { BINARY, type FrameSpec, PING, PONG, TEXT } from '../wire/frame.ts';

/** Sizes around the limits of the length forms, and of common buffers. */
const SIZES = [0, 1, 7, 125, 126, 127, 1000, 4096, 16_383, 65_535, 65_536];

/** Random choices. The same seed of a run makes the same ones. */
export class RandomChoices {
  readonly #attempt: TargetAttempt;
  readonly #number: number;

  constructor(attempt: TargetAttempt, number: number) {
    this.#attempt = attempt;
    this.#number = number;
  }

  /** Returns a number from 0 to `below` - 1. */
  below(below: number): number {
    return (this.#attempt.randomBytes(4).readUInt32BE() + this.#number * 0x9e37) % below;
  }

  message(): SentMessage {
    const size = SIZES[this.below(SIZES.length)]!;
    return this.below(2) === 0
      ? { opcode: TEXT, payload: letters(size) }
      : { opcode: BINARY, payload: pattern(size) };
  }

  /** Splits a length into the sizes of up to five fragments. */
  sizes(length: number): number[] {
    const ends = Array.from({ length: this.below(5) }, () => this.below(length + 1));
    const places = [0, ...ends.toSorted((a, b) => a - b), length];
    return places.slice(1).map((end, index) => end - places[index]!);
  }

  /** Adds pings and pongs before frames. */
  withControls(frames: readonly FrameSpec[]): FrameSpec[] {
    return frames.flatMap((frame) => {
      const control = {
        opcode: this.below(2) === 0 ? PING : PONG,
        payload: pattern(this.below(126)),
      };
      return this.below(3) === 0 ? [control, frame] : [frame];
    });
  }

  /** Cuts bytes into up to sixty segments. */
  cut(bytes: Buffer): Buffer[] {
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const size =
        pieces.length < 60 ? 1 + this.below(this.below(4) === 0 ? 20_000 : 40) : Infinity;
      pieces.push(bytes.subarray(at, (at += size)));
    }
    return pieces;
  }
}
