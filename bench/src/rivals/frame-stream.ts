import { encodeFrame } from '@ws/codec';

/** Concatenated frames of `bytes` bytes: half a MiB of them, at least four. */
export function frameStream(
  bytes: number,
  masked: boolean,
): { stream: Uint8Array<ArrayBuffer>; frames: number } {
  const payload = new Uint8Array(bytes).map((_, i) => i * 31);
  const frame = encodeFrame(2, payload, masked ? { maskKey: 0x37fa213d } : {});
  const frames = Math.max(4, Math.floor((512 * 1024) / frame.length));
  const stream = new Uint8Array(frames * frame.length);
  for (let i = 0; i < frames; i++) stream.set(frame, i * frame.length);
  return { stream, frames };
}
