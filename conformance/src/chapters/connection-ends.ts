import type { TargetAttempt } from '../attempts/target-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  closePayload,
  echo,
  expectAll,
  expectClosed,
  expectEndOrClose,
  expectFailure,
  expectMessage,
} from '../wire/expect.ts';
import { BINARY, CLOSE, CONTINUATION, type FrameSpec, PING, TEXT } from '../wire/frame.ts';

/**
 * Adds sections about the end of a connection: without close frames, after messages, from both
 * ends.
 */
export function connectionEnds(chapter: Chapter<TargetAttempt>): void {
  withoutClosing(chapter);
  amongMessages(chapter);
  crossing(chapter);
}

/** Places of our FIN, and the bytes of a frame before it. */
const FIN_PLACES: readonly (readonly [string, (frame: Buffer) => Buffer])[] = [
  ['between two messages', () => Buffer.alloc(0)],
  ['after one byte of a header', (frame) => frame.subarray(0, 1)],
  ['within a header', (frame) => frame.subarray(0, 3)],
  ['within a payload', (frame) => frame.subarray(0, frame.length - 5)],
];

function withoutClosing(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.5 and 7.2.1',
    expects: 'the target ends the connection too, with or without a close frame',
  });
  for (const [place, begun] of FIN_PLACES) {
    add(`our FIN ${place}`, async (attempt) => {
      const peer = await attempt.open();
      await echo(peer, TEXT, utf8('before'));
      const bytes = begun(peer.bytes({ opcode: TEXT, payload: letters(200) }));
      if (bytes.length > 0) await peer.send(bytes, 'the beginning of a frame');
      peer.endWrites();
      await expectEndOrClose(peer);
    });
  }
  add('our FIN within a fragmented message', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: TEXT, payload: utf8('half a mess'), fin: false });
    peer.endWrites();
    await expectEndOrClose(peer);
  });
}

function amongMessages(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.1',
    // No RFC asks for echoes: an application may stop sending when the peer closes.
    level: 'advice',
    expects: 'earlier messages come back before the target answers the close frame',
  });
  for (const [title, count, size] of [
    ['a message and a close frame in one segment', 1, 20],
    ['ten messages and a close frame in one segment', 10, 20],
    ['ten messages of 10,000 bytes and a close frame', 10, 10_000],
    ['a message of 131,072 bytes and a close frame', 1, 131_072],
  ] as const) {
    add(title, async (attempt) => {
      const peer = await attempt.open();
      const messages = Array.from({ length: count }, () => ({
        opcode: BINARY,
        payload: pattern(size),
      }));
      await peer.sendFrames(...messages, { opcode: CLOSE, payload: closePayload(1000) });
      for (const { payload } of messages) await expectMessage(peer, BINARY, payload);
      await expectClosed(peer, 1000);
    });
  }
}

/** Adds a section for both roles. It follows the sections of each role, whose ids never move. */
export function endsAmongLarge<Context extends TargetAttempt>(
  chapter: Chapter<Context>,
): Chapter<Context> {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.1 and 10.4',
    level: 'advice',
    expects: 'earlier messages come back before the target answers the close frame',
  });
  const close = { opcode: CLOSE, payload: closePayload(1000) };
  const large = { opcode: BINARY, payload: pattern(262_144) };
  add('a message of 262,144 bytes, a close frame and a ping in one write', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(large, close, { opcode: PING, payload: utf8('too late') });
    await expectMessage(peer, BINARY, large.payload);
    await expectClosed(peer, 1000, { codes: 'any' });
  });
  add('a close frame while eight messages of 262,144 bytes wait to be read', async (attempt) => {
    const peer = await attempt.open();
    const messages = Array.from({ length: 8 }, () => large);
    peer.pauseReading();
    const sent = peer.sendFrames(...messages, close);
    // The target cannot report that its writes are full.
    await Promise.race([sent, attempt.rest(READ_PAUSE)]);
    peer.resumeReading();
    await expectAll(peer, messages);
    await expectClosed(peer, 1000, { codes: 'any' });
    await sent;
  });
  return chapter;
}

/** Time in ms during which the suite does not read. */
const READ_PAUSE = 100;

/** Frames that break a rule, and the close code for each. */
const FAULTS: readonly (readonly [string, FrameSpec, number])[] = [
  ['a reserved opcode', { opcode: 5 }, 1002],
  ['a reserved bit', { opcode: TEXT, payload: utf8('bits'), rsv: 2 }, 1002],
  ['a text that is not UTF-8', { opcode: TEXT, payload: Buffer.from([0xff]) }, 1007],
  ['a continuation frame without a message', { opcode: CONTINUATION, payload: utf8('lost') }, 1002],
  ['a ping of 126 bytes', { opcode: PING, payload: letters(126) }, 1002],
];

/** An echoing target sends the first close frame only after a fault. It then crosses ours. */
function crossing(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.1 and 7.1.7',
    expects: 'the target fails the connection with one close frame, which does not answer ours',
  });
  const close = { opcode: CLOSE, payload: closePayload(1000) };
  for (const [title, frame, code] of FAULTS) {
    add(`${title}, and a close frame in the same segment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(frame, close);
      await expectFailure(peer, [code], title);
    });
    add(`${title}, and a close frame in the next segment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendPieces([peer.bytes(frame), peer.bytes(close)], {
        label: `${title} and a close frame`,
      });
      await expectFailure(peer, [code], title);
    });
  }
}
