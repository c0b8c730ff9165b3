import { type FrameSpec, RSV1 } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { fragments } from './fragmentation.ts';

/** Compresses a message with the negotiated parameters into one frame. */
export function compressedFrame(peer: Peer, opcode: number, payload: Uint8Array): FrameSpec {
  return { opcode, payload: peer.compressor.compress(payload), rsv: RSV1 };
}

/** Compresses a message into fragments. The first has RSV1. */
export function compressedFragments(
  peer: Peer,
  opcode: number,
  payload: Uint8Array,
  sizesOf: (length: number) => readonly number[],
): FrameSpec[] {
  const bytes = peer.compressor.compress(payload);
  return fragments(opcode, bytes, sizesOf(bytes.length)).map((frame, at) =>
    at === 0 ? { ...frame, rsv: RSV1 } : frame,
  );
}
