import type { TargetAttempt } from '../attempts/target-attempt.ts';
import type { AddCase, Chapter } from '../model/chapter.ts';
import { letters } from '../wire/bytes.ts';
import {
  closeCleanly,
  expectAll,
  expectFailure,
  type FailureOptions,
  type SentMessage,
} from '../wire/expect.ts';
import { CLOSE, CONTINUATION, type FrameSpec, PING } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { compressedFragments } from './compressed.ts';
import { sizesOf } from './fragments.ts';

/** A case as data: frames on an open connection. */
interface FramesRow {
  readonly title: string;
  /** Creates the frames to send. */
  readonly send: () => readonly FrameSpec[];
  /** Size of the segments in bytes. Default: one write. */
  readonly cut?: number;
}

/** Frames whose messages come back, and whose last ping the target answers. */
export interface EchoRow extends FramesRow {
  /** Close codes with which the target may refuse so many frames. Default: none. */
  readonly limits?: readonly number[];
}

/** Adds a case for each row. */
export function addEchoes(add: AddCase<TargetAttempt>, rows: readonly EchoRow[]): void {
  for (const { title, send, cut, limits } of rows) {
    add(title, async (attempt) => {
      const peer = await attempt.open();
      const frames = send();
      await sendCut(peer, frames, cut);
      const lastPing = frames.findLast(({ opcode }) => opcode === PING)?.payload;
      if (await expectAll(peer, messagesOf(frames), lastPing, limits)) await closeCleanly(peer);
    });
  }
}

/** Joins the fragments of messages. */
function messagesOf(frames: readonly FrameSpec[]): SentMessage[] {
  const messages: { opcode: number; parts: Uint8Array[] }[] = [];
  for (const { opcode, payload = new Uint8Array(0) } of frames) {
    if (opcode >= CLOSE) continue;
    if (opcode === CONTINUATION) messages.at(-1)!.parts.push(payload);
    else messages.push({ opcode, parts: [payload] });
  }
  return messages.map(({ opcode, parts }) => ({ opcode, payload: Buffer.concat(parts) }));
}

/** Frames of which at least one breaks a rule. */
export interface FaultRow extends FramesRow {
  /** Close codes for the fault. */
  readonly codes: readonly number[];
  /** Sends only the first bytes: this many less than all. Default: 0. */
  readonly withheld?: number;
  /** True for advice: the target can notice the fault before the message is complete. */
  readonly early?: boolean;
}

/** Adds a case for each row. */
export function addFaults(add: AddCase<TargetAttempt>, rows: readonly FaultRow[]): void {
  for (const { title, send, cut, codes, withheld = 0, early = withheld > 0 } of rows) {
    add(title, async (attempt) => {
      const peer = await attempt.open();
      const bytes = peer.bytes(...send());
      const sent = bytes.subarray(0, bytes.length - withheld);
      await peer.sendCut(sent, cut ?? sent.length, { label: title, untilAnswered: true });
      const options: FailureOptions = early ? { within: attempt.shouldTimeout } : {};
      await expectFailure(peer, codes, title, options);
    });
  }
}

/** A frame whose header breaks a rule. */
export interface HeaderFaultRow extends Pick<FaultRow, 'title'> {
  readonly frame: Omit<FrameSpec, 'payload'>;
}

/** Adds a section of frames whose payload is never sent. */
export function addHeaderFaults(
  chapter: Chapter<TargetAttempt>,
  rows: readonly HeaderFaultRow[],
): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2',
    level: 'advice',
    expects: 'the target fails the connection with 1002 as soon as the header arrives',
  });
  const payload = letters(100);
  addFaults(
    add,
    rows.map(({ title, frame }) => ({
      title,
      send: () => [{ ...frame, payload }],
      withheld: payload.length,
      codes: [1002],
    })),
  );
}

/** Messages, each sent compressed when the one before is back. */
export interface CompressedRow {
  readonly title: string;
  /** Creates the messages. */
  readonly messages: () => Iterable<SentMessage>;
  /** Size of the fragments in bytes. Default: one frame. */
  readonly fragment?: number;
}

/** Adds a case for each row. `open` chooses the parameters. */
export function addCompressed<Context extends TargetAttempt>(
  add: AddCase<Context>,
  rows: readonly CompressedRow[],
  open: (attempt: Context) => Promise<Peer>,
): void {
  for (const { title, messages, fragment = Number.POSITIVE_INFINITY } of rows) {
    add(title, async (attempt) => {
      const peer = await open(attempt);
      for (const message of messages()) {
        const { opcode, payload } = message;
        await peer.sendFrames(
          ...compressedFragments(peer, opcode, payload, (length) => sizesOf(length, fragment)),
        );
        await expectAll(peer, [message]);
      }
      await closeCleanly(peer);
    });
  }
}

async function sendCut(
  peer: Peer,
  frames: readonly FrameSpec[],
  cut: number | undefined,
): Promise<void> {
  if (cut === undefined) await peer.sendList(frames);
  else await peer.sendFramesCut(frames, cut);
}
