import { encodeFrame } from '@ws/codec';
import { generator } from '../harness/random.ts';

const STREAM = 512 * 1024;

/** Frames of these sizes in turn, concatenated: half a MiB, at least four. Each has its own mask. */
export function frameStream(
  sizes: readonly number[],
  masked: boolean,
): { stream: Uint8Array<ArrayBuffer>; frames: number } {
  const keys = generator(5);
  const frames: Uint8Array[] = [];
  for (let bytes = 0; bytes < STREAM || frames.length < 4; bytes += frames.at(-1)!.length) {
    const payload = new Uint8Array(sizes[frames.length % sizes.length]!).map((_, i) => i * 31);
    frames.push(encodeFrame(2, payload, masked ? { maskKey: keys() } : {}));
  }
  const stream = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const frame of frames) {
    stream.set(frame, at);
    at += frame.length;
  }
  return { stream, frames: frames.length };
}
