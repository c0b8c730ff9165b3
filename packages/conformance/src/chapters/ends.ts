import type { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  closePayload,
  echo,
  eventWords,
  wantClosed,
  wantFailure,
  wantMessage,
} from '../wire/expect.ts';
import { BINARY, CLOSE, CONTINUATION, type FrameSpec, PING, TEXT } from '../wire/frame.ts';

/** Sections of how a connection ends: without a closing, among messages, by both at once. */
export function ends(chapter: Chapter<TargetAttempt>): void {
  withoutClosing(chapter);
  amongMessages(chapter);
  crossing(chapter);
}

function withoutClosing(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.5 and 7.2.1',
    expects: 'the target ends the connection too; a close frame may come before',
  });
  const befores: readonly (readonly [string, (frame: Buffer) => Buffer])[] = [
    ['between two messages', () => Buffer.alloc(0)],
    ['after one byte of a header', (frame) => frame.subarray(0, 1)],
    ['within a header', (frame) => frame.subarray(0, 3)],
    ['within a payload', (frame) => frame.subarray(0, frame.length - 5)],
  ];
  for (const [place, begun] of befores) {
    add(`the end of our half ${place}`, async (attempt) => {
      const peer = await attempt.open();
      await echo(peer, TEXT, utf8('before'));
      const bytes = begun(peer.bytes({ opcode: TEXT, payload: letters(200) }));
      if (bytes.length > 0) await peer.send(bytes, 'the beginning of a frame');
      peer.endWrites();
      let event = await peer.next('the end of the connection');
      if (event.kind === 'close') event = await peer.next('the end of the connection');
      if (event.kind !== 'end') attempt.fail(`${eventWords(event)} came, where the end was due`);
    });
  }
  add('the end of our half within a fragmented message', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: TEXT, payload: utf8('half a mess'), fin: false });
    peer.endWrites();
    let event = await peer.next('the end of the connection');
    if (event.kind === 'close') event = await peer.next('the end of the connection');
    if (event.kind !== 'end') attempt.fail(`${eventWords(event)} came, where the end was due`);
  });
}

function amongMessages(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.1',
    level: 'should',
    expects: 'what was sent before the close frame comes back before the closing is answered',
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
      for (const { payload } of messages) await wantMessage(peer, BINARY, payload);
      await wantClosed(peer, 1000);
    });
  }
}

/** A target that only echoes closes by itself when it must: then its close frame and ours cross. */
function crossing(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.1 and 7.1.7',
    expects: 'the connection is failed with one close frame, which is no answer to ours, and ends',
  });
  const faults: readonly (readonly [string, FrameSpec, number])[] = [
    ['a reserved opcode', { opcode: 5 }, 1002],
    ['a reserved bit', { opcode: TEXT, payload: utf8('bits'), rsv: 2 }, 1002],
    ['a text that is not UTF-8', { opcode: TEXT, payload: Buffer.from([0xff]) }, 1007],
    ['a continuation of nothing', { opcode: CONTINUATION, payload: utf8('lost') }, 1002],
    ['a ping of 126 bytes', { opcode: PING, payload: letters(126) }, 1002],
  ];
  const close = { opcode: CLOSE, payload: closePayload(1000) };
  for (const [says, frame, code] of faults) {
    add(`${says}, and a close frame in the same segment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(frame, close);
      await wantFailure(peer, [code], says);
    });
    add(`${says}, and a close frame in the next segment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendPieces([peer.bytes(frame), peer.bytes(close)], {
        says: `${says} and a close frame`,
      });
      await wantFailure(peer, [code], says);
    });
  }
}
