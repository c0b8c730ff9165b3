import { type FrameSpec, RSV1 } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { fragments } from './fragmentation.ts';

/** A message, compressed by the terms of the connection, in one frame. */
export function packed(peer: Peer, opcode: number, payload: Uint8Array): FrameSpec {
  return { opcode, payload: peer.compressor.compress(payload), rsv: RSV1 };
}

/** The fragments of a compressed message: RSV1 stands on the first. */
export function packedFragments(
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
