import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { Violation } from '../model/verdicts.ts';
import { noise } from '../wire/bytes.ts';
import { fixedBlock } from '../wire/deflate.ts';
import { eventText, needsEcho } from '../wire/expect.ts';
import { BINARY, type FrameSpec, RSV1 } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { fragments } from './fragments.ts';

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

/** Opens a connection on which the suite may use context takeover. */
export async function openWithHistory(attempt: TargetAttempt): Promise<Peer> {
  const peer = await attempt.openDeflate();
  const { clientNoContextTakeover, serverNoContextTakeover } = peer.deflate!;
  const forgets = peer.role === 'client' ? clientNoContextTakeover : serverNoContextTakeover;
  if (forgets) attempt.skip('the target requires messages without context takeover');
  return peer;
}

/**
 * Waits for a message or a failed connection. A target that keeps a larger window than agreed inflates
 * the message. Any other target must detect the fault.
 */
export async function expectSameOrFailure(
  peer: Peer,
  opcode: number,
  payload: Uint8Array,
): Promise<void> {
  needsEcho(peer);
  const event = await peer.next('the message, or a failed connection');
  if (event.kind === 'message' && (event.opcode !== opcode || !event.payload.equals(payload))) {
    throw new Violation(`received ${eventText(event)}, which was never sent`);
  }
  if (event.kind === 'close' && event.code === 1000) {
    throw new Violation(`received ${eventText(event)}, as if the peer had closed the connection`);
  }
}

/** Sends a message with a match 10 bytes beyond a window. */
export async function sendBeyondWindow(peer: Peer, bits: number): Promise<void> {
  const start = noise(2 ** bits + 10);
  const match = { length: 10, distance: start.length };
  await peer.sendFrames({ opcode: BINARY, payload: fixedBlock([...start, match]), rsv: RSV1 });
  await expectSameOrFailure(peer, BINARY, Buffer.concat([start, start.subarray(0, 10)]));
}
