import type { Chapter } from '../model/chapter.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  alive,
  closeCleanly,
  closePayload,
  wantClosed,
  wantFailure,
  wantMessage,
  wantPong,
} from '../wire/expect.ts';
import {
  BINARY,
  bytesWords,
  CLOSE,
  CONTINUATION,
  type FrameSpec,
  PING,
  PONG,
  TEXT,
} from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { head, sendInTwo, wantNoHandshake } from './answer.ts';

/** An Accept has always 28 characters, and so each answer its size. */
const SIZE = head([
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Accept: ${'x'.repeat(28)}`,
]).length;

/** Chapter 8, the bytes of an answer: in pieces, with frames behind them, and when they end too soon. */
export function answerBytes(chapter: Chapter<ClientAttempt>): void {
  behind(chapter);
  badBehind(chapter);
  early(chapter);
  resets(chapter);
  cuts(chapter);
  pieces(chapter);
}

const HI: FrameSpec = { opcode: TEXT, payload: utf8('early') };

/** Sends the answer and what follows in one write. */
async function withFrames(attempt: ClientAttempt, ...frames: FrameSpec[]): Promise<Peer> {
  return attempt.accept({ early: (peer) => peer.bytes(...frames) });
}

function behind(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2.2 and 5.1',
    expects: 'what stands behind the answer is read as frames',
  });
  const echoes: readonly (readonly [string, readonly FrameSpec[]])[] = [
    ['a text message', [HI]],
    ['a binary message', [{ opcode: BINARY, payload: pattern(20) }]],
    ['an empty text message', [{ opcode: TEXT, payload: utf8('') }]],
    ['two messages', [HI, { opcode: BINARY, payload: pattern(3) }]],
    ['fifty messages', Array.from({ length: 50 }, () => HI)],
    ['a message of 300 bytes', [{ opcode: TEXT, payload: letters(300) }]],
    ['a message of 70,000 bytes', [{ opcode: BINARY, payload: pattern(70_000) }]],
    ['a message of the answer’s own text', [{ opcode: TEXT, payload: utf8(head([])) }]],
  ];
  for (const [title, frames] of echoes) {
    add(`${title} in the segment of the answer`, async (attempt) => {
      const peer = await withFrames(attempt, ...frames);
      for (const { opcode, payload } of frames)
        await wantMessage(peer, opcode, payload ?? utf8(''));
      await closeCleanly(peer);
    });
  }
  add('a ping in the segment of the answer', async (attempt) => {
    const peer = await withFrames(attempt, { opcode: PING, payload: utf8('early') });
    await wantPong(peer, utf8('early'));
    await closeCleanly(peer);
  });
  add('a pong in the segment of the answer', async (attempt) => {
    const peer = await withFrames(attempt, { opcode: PONG, payload: utf8('early') });
    await alive(peer);
    await closeCleanly(peer);
  });
  add('a message in two fragments in the segment of the answer', async (attempt) => {
    const peer = await withFrames(
      attempt,
      { opcode: TEXT, payload: utf8('ea'), fin: false },
      { opcode: CONTINUATION, payload: utf8('rly') },
    );
    await wantMessage(peer, TEXT, utf8('early'));
    await closeCleanly(peer);
  });
  add('a close frame in the segment of the answer', async (attempt) => {
    const peer = await withFrames(attempt, { opcode: CLOSE, payload: closePayload(1000) });
    await wantClosed(peer, 1000);
  });
  add('a message and a close frame in the segment of the answer', async (attempt) => {
    const peer = await withFrames(attempt, HI, { opcode: CLOSE, payload: closePayload(1000) });
    await wantMessage(peer, TEXT, utf8('early'));
    await wantClosed(peer, 1000);
  });
  for (const size of [1, 2, 3, 6]) {
    add(`${bytesWords(size)} of a frame in the segment of the answer`, async (attempt) => {
      const bytes = attempt.peer.bytes(HI);
      const peer = await attempt.accept({ early: () => bytes.subarray(0, size) });
      await peer.send(bytes.subarray(size), 'the rest of the frame');
      await wantMessage(peer, TEXT, utf8('early'));
      await closeCleanly(peer);
    });
  }
}

function badBehind(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5',
    expects: 'the connection is failed: the rules of frames hold from the first byte on',
  });
  const rows: readonly (readonly [string, FrameSpec, number])[] = [
    ['a masked frame', { ...HI, mask: Buffer.from([1, 2, 3, 4]) }, 1002],
    ['a frame with RSV1', { ...HI, rsv: 4 }, 1002],
    ['a frame with RSV2', { ...HI, rsv: 2 }, 1002],
    ['a frame with a reserved opcode', { opcode: 3 }, 1002],
    ['a control frame with a reserved opcode', { opcode: 0xb }, 1002],
    ['a ping of 126 bytes', { opcode: PING, payload: pattern(126) }, 1002],
    ['a ping that is not final', { opcode: PING, fin: false }, 1002],
    ['a continuation of nothing', { opcode: CONTINUATION, payload: utf8('early') }, 1002],
    ['a text that is not UTF-8', { opcode: TEXT, payload: Buffer.from([0xc3, 0x28]) }, 1007],
    ['a close frame of one byte', { opcode: CLOSE, payload: Buffer.from([3]) }, 1002],
    ['a close frame with 1005', { opcode: CLOSE, payload: closePayload(1005) }, 1002],
  ];
  for (const [title, frame, code] of rows) {
    add(`${title} in the segment of the answer`, async (attempt) => {
      await wantFailure(await withFrames(attempt, frame), [code], 'the frame breaks a rule');
    });
  }
}

const PLACES: readonly (readonly [string, (text: string) => string])[] = [
  ['before its first byte', () => ''],
  ['within its version', (text) => text.slice(0, 4)],
  ['within its status', (text) => text.slice(0, 10)],
  ['behind its first line', (text) => text.slice(0, text.indexOf('\r\n') + 2)],
  ['within the name of a field', (text) => text.slice(0, text.indexOf('Upgrade:') + 3)],
  ['behind a colon', (text) => text.slice(0, text.indexOf('Upgrade:') + 8)],
  ['within Accept', (text) => text.slice(0, -12)],
  ['before its empty line', (text) => text.slice(0, -2)],
  ['within its empty line', (text) => text.slice(0, -1)],
];

function early(chapter: Chapter<ClientAttempt>): void {
  const facts = { section: 'RFC 6455, 4.1', expects: 'the client ends the connection too' };
  const fin = chapter.section(facts);
  for (const [place, begun] of PLACES) {
    fin(`the end of our half ${place}`, async (attempt) => {
      const bytes = Buffer.from(begun(attempt.acceptText()), 'latin1');
      if (bytes.length > 0) await attempt.peer.send(bytes, 'the beginning of an answer');
      attempt.peer.endWrites();
      await wantNoHandshake(attempt);
    });
  }
  fin('the end of our half behind an interim answer', async (attempt) => {
    await attempt.peer.send(utf8('HTTP/1.1 100 Continue\r\n\r\n'), 'an interim answer');
    attempt.peer.endWrites();
    await wantNoHandshake(attempt);
  });
  fin('the end of our half with a whole answer', async (attempt) => {
    await attempt.peer.send(Buffer.from(attempt.acceptText(), 'latin1'), 'an answer');
    attempt.peer.endWrites();
    let event = await attempt.peer.next('the end of the connection');
    // It was open for a moment: a close frame may say that it is over.
    if (event.kind === 'close') event = await attempt.peer.next('the end of the connection');
    if (event.kind !== 'end') attempt.fail(`a ${event.kind} came, where the end was due`);
  });
}

function resets(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1',
    expects: 'the client survives, and comes for the next case',
  });
  for (const [place, begun] of PLACES.filter((_, at) => at % 2 === 0)) {
    add(`a reset of the connection ${place}`, async (attempt) => {
      const bytes = Buffer.from(begun(attempt.acceptText()), 'latin1');
      if (bytes.length > 0) await attempt.peer.send(bytes, 'the beginning of an answer');
      attempt.peer.reset();
    });
  }
}

function cuts(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1 and RFC 9112, 2.2',
    expects: 'the connection opens: where segments end means nothing',
  });
  for (let at = 1; at < SIZE; at++) {
    add(`the answer in two segments, the first of ${bytesWords(at)}`, async (attempt) => {
      const { peer } = attempt;
      const bytes = Buffer.from(attempt.acceptText(), 'latin1');
      await sendInTwo(attempt, bytes, at);
      await alive(peer);
      await closeCleanly(peer);
    });
  }
}

function pieces(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1 and RFC 9112, 2.2',
    expects: 'the connection opens, and the message behind the answer comes back',
  });
  for (const size of [1, 2, 3, 7, 16, 50, 100]) {
    add(`the answer and a message in pieces of ${bytesWords(size)}`, async (attempt) => {
      const { peer } = attempt;
      const bytes = Buffer.from(attempt.acceptText(), 'latin1');
      await peer.sendCut(Buffer.concat([bytes, peer.bytes(HI)]), size, { says: 'an answer' });
      await wantMessage(peer, TEXT, utf8('early'));
      await closeCleanly(peer);
    });
  }
  for (const at of [-1, 1]) {
    const where = at < 0 ? 'one byte before' : 'one byte behind';
    add(`the answer and a message, cut ${where} the end of the header`, async (attempt) => {
      const { peer } = attempt;
      const bytes = Buffer.from(attempt.acceptText(), 'latin1');
      await sendInTwo(attempt, Buffer.concat([bytes, peer.bytes(HI)]), bytes.length + at);
      await wantMessage(peer, TEXT, utf8('early'));
      await closeCleanly(peer);
    });
  }
}
