import type { ClientAttempt } from '../attempts/client-attempt.ts';
import type { AddCase, Chapter } from '../model/chapter.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  checkAlive,
  closeCleanly,
  closePayload,
  expectClosed,
  expectEndOrClose,
  expectFailure,
  expectMessage,
  expectPong,
} from '../wire/expect.ts';
import {
  BINARY,
  bytesText,
  CLOSE,
  CONTINUATION,
  type FrameSpec,
  PING,
  PONG,
  TEXT,
} from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { answerHead, expectUnopenedEnd, sendInTwo } from './answer.ts';

/** Size of every valid answer in bytes: an Accept always has 28 characters. */
const SIZE = answerHead([
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Accept: ${'x'.repeat(28)}`,
]).length;

/** Adds sections about the bytes of an answer: pieces, frames after it, early ends. */
export function answerBytes(chapter: Chapter<ClientAttempt>): void {
  framesAfter(chapter);
  badFramesAfter(chapter);
  early(chapter);
  resets(chapter);
  cuts(chapter);
  pieces(chapter);
  stopped(chapter);
}

const EARLY_TEXT = { opcode: TEXT, payload: utf8('early') };

/** Sends the answer and frames in one write. */
async function withFrames(attempt: ClientAttempt, ...frames: FrameSpec[]): Promise<Peer> {
  return attempt.accept({ early: (peer) => peer.bytes(...frames) });
}

/** Messages in the segment of the answer. */
const EARLY_MESSAGES: readonly (readonly [string, readonly FrameSpec[]])[] = [
  ['a text message', [EARLY_TEXT]],
  ['a binary message', [{ opcode: BINARY, payload: pattern(20) }]],
  ['an empty text message', [{ opcode: TEXT, payload: utf8('') }]],
  ['two messages', [EARLY_TEXT, { opcode: BINARY, payload: pattern(3) }]],
  ['fifty messages', Array.from({ length: 50 }, () => EARLY_TEXT)],
  ['a message of 300 bytes', [{ opcode: TEXT, payload: letters(300) }]],
  ['a message of 70,000 bytes', [{ opcode: BINARY, payload: pattern(70_000) }]],
  ['a message with the text of an answer', [{ opcode: TEXT, payload: utf8(answerHead([])) }]],
];

function framesAfter(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2.2 and 5.1',
    expects: 'the client reads the bytes after the answer as frames',
  });
  for (const [title, frames] of EARLY_MESSAGES) {
    add(`${title} in the segment of the answer`, async (attempt) => {
      const peer = await withFrames(attempt, ...frames);
      for (const { opcode, payload } of frames)
        await expectMessage(peer, opcode, payload ?? utf8(''));
      await closeCleanly(peer);
    });
  }
  controlsAfter(add);
  closesAfter(add);
}

/** Adds cases with a control frame, or with fragments, after the answer. */
function controlsAfter(add: AddCase<ClientAttempt>): void {
  add('a ping in the segment of the answer', async (attempt) => {
    const peer = await withFrames(attempt, { opcode: PING, payload: utf8('early') });
    await expectPong(peer, utf8('early'));
    await closeCleanly(peer);
  });
  add('a pong in the segment of the answer', async (attempt) => {
    const peer = await withFrames(attempt, { opcode: PONG, payload: utf8('early') });
    await checkAlive(peer);
    await closeCleanly(peer);
  });
  fragmentsAfter(add);
}

/** Adds a fragmented message after the answer. */
function fragmentsAfter(add: AddCase<ClientAttempt>): void {
  add('a message in two fragments in the segment of the answer', async (attempt) => {
    const peer = await withFrames(
      attempt,
      { opcode: TEXT, payload: utf8('ea'), fin: false },
      { opcode: CONTINUATION, payload: utf8('rly') },
    );
    await expectMessage(peer, TEXT, utf8('early'));
    await closeCleanly(peer);
  });
}

/** Adds cases with a close frame, or with a part of a frame, after the answer. */
function closesAfter(add: AddCase<ClientAttempt>): void {
  add('a close frame in the segment of the answer', async (attempt) => {
    const peer = await withFrames(attempt, { opcode: CLOSE, payload: closePayload(1000) });
    await expectClosed(peer, 1000, { codes: 'any' });
  });
  add('a message and a close frame in the segment of the answer', async (attempt) => {
    const peer = await withFrames(attempt, EARLY_TEXT, {
      opcode: CLOSE,
      payload: closePayload(1000),
    });
    await expectClosed(peer, 1000, { codes: 'any', after: [EARLY_TEXT] });
  });
  partsAfter(add);
}

/** Adds cases with the first bytes of a frame after the answer. */
function partsAfter(add: AddCase<ClientAttempt>): void {
  for (const size of [1, 2, 3, 6]) {
    add(`${bytesText(size)} of a frame in the segment of the answer`, async (attempt) => {
      const bytes = attempt.peer.bytes(EARLY_TEXT);
      const peer = await attempt.accept({ early: () => bytes.subarray(0, size) });
      await peer.send(bytes.subarray(size), 'the rest of the frame');
      await expectMessage(peer, TEXT, utf8('early'));
      await closeCleanly(peer);
    });
  }
}

/** Frames that break a rule, and the close code for each. */
const BAD_FRAMES: readonly (readonly [string, FrameSpec, number])[] = [
  ['a masked frame', { ...EARLY_TEXT, mask: Buffer.from([1, 2, 3, 4]) }, 1002],
  ['a frame with RSV1', { ...EARLY_TEXT, rsv: 4 }, 1002],
  ['a frame with RSV2', { ...EARLY_TEXT, rsv: 2 }, 1002],
  ['a frame with a reserved opcode', { opcode: 3 }, 1002],
  ['a control frame with a reserved opcode', { opcode: 0xb }, 1002],
  ['a ping of 126 bytes', { opcode: PING, payload: pattern(126) }, 1002],
  ['a ping that is not final', { opcode: PING, fin: false }, 1002],
  [
    'a continuation frame without a message',
    { opcode: CONTINUATION, payload: utf8('early') },
    1002,
  ],
  ['a text that is not UTF-8', { opcode: TEXT, payload: Buffer.from([0xc3, 0x28]) }, 1007],
  ['a close frame of one byte', { opcode: CLOSE, payload: Buffer.from([3]) }, 1002],
  ['a close frame with 1005', { opcode: CLOSE, payload: closePayload(1005) }, 1002],
];

function badFramesAfter(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5',
    expects: 'the target fails the connection: the frame rules apply from the first byte',
  });
  for (const [title, frame, code] of BAD_FRAMES) {
    add(`${title} in the segment of the answer`, async (attempt) => {
      await expectFailure(await withFrames(attempt, frame), [code], 'the frame breaks a rule');
    });
  }
}

const PLACES: readonly (readonly [string, (text: string) => string])[] = [
  ['before the first byte of the answer', () => ''],
  ['within the version', (text) => text.slice(0, 4)],
  ['within the status', (text) => text.slice(0, 10)],
  ['after the first line', (text) => text.slice(0, text.indexOf('\r\n') + 2)],
  ['within a field name', (text) => text.slice(0, text.indexOf('Upgrade:') + 3)],
  ['after a colon', (text) => text.slice(0, text.indexOf('Upgrade:') + 8)],
  ['within Accept', (text) => text.slice(0, -12)],
  ['before the empty line', (text) => text.slice(0, -2)],
  ['within the empty line', (text) => text.slice(0, -1)],
];

function early(chapter: Chapter<ClientAttempt>): void {
  const facts = { section: 'RFC 6455, 4.1', expects: 'the client ends the connection too' };
  const fin = chapter.section(facts);
  for (const [place, begun] of PLACES) {
    fin(`our FIN ${place}`, async (attempt) => {
      const bytes = Buffer.from(begun(attempt.acceptText()), 'latin1');
      if (bytes.length > 0) await attempt.peer.send(bytes, 'the beginning of an answer');
      attempt.peer.endWrites();
      await expectUnopenedEnd(attempt);
    });
  }
  finsAfterAnswers(fin);
}

/** Adds cases with a FIN after a whole answer, or after an interim one. */
function finsAfterAnswers(fin: AddCase<ClientAttempt>): void {
  fin('our FIN after an interim answer', async (attempt) => {
    await attempt.peer.send(utf8('HTTP/1.1 100 Continue\r\n\r\n'), 'an interim answer');
    attempt.peer.endWrites();
    await expectUnopenedEnd(attempt);
  });
  fin('our FIN after a whole answer', async (attempt) => {
    await attempt.peer.send(Buffer.from(attempt.acceptText(), 'latin1'), 'an answer');
    attempt.peer.endWrites();
    // The connection was open for a moment, so the client may send a close frame.
    await expectEndOrClose(attempt.peer);
  });
}

function resets(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1',
    expects: 'the client survives and connects for the next case',
  });
  for (const [place, begun] of PLACES.filter((_, at) => at % 2 === 0)) {
    add(`a reset of the connection ${place}`, async (attempt) => {
      attempt.mustSurvive = true;
      const bytes = Buffer.from(begun(attempt.acceptText()), 'latin1');
      if (bytes.length > 0) await attempt.peer.send(bytes, 'the beginning of an answer');
      attempt.peer.reset();
    });
  }
}

/** Waits for the client's own timeout, so a run has these cases only on demand. */
function stopped(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 10.4',
    level: 'advice',
    expects: 'after a reasonable time the client ends the connection itself',
    flood: true,
  });
  for (const [place, begun] of PLACES.filter((_, at) => at % 3 === 0)) {
    add(`no more bytes ${place}, and no FIN from us`, async (attempt) => {
      const { peer, timeout } = attempt;
      const bytes = Buffer.from(begun(attempt.acceptText()), 'latin1');
      if (bytes.length > 0) await peer.send(bytes, 'the beginning of an answer');
      if (!(await peer.waitForEnd(2 * timeout))) {
        attempt.fail(`the client did not end the connection within ${2 * timeout} ms`);
      }
    });
  }
}

function cuts(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1 and RFC 9112, 2.2',
    expects: 'the connection opens: segment boundaries have no meaning',
  });
  for (let at = 1; at < SIZE; at++) {
    add(`the answer in two segments, the first of ${bytesText(at)}`, async (attempt) => {
      const { peer } = attempt;
      const bytes = Buffer.from(attempt.acceptText(), 'latin1');
      await sendInTwo(attempt, bytes, at);
      await checkAlive(peer);
      await closeCleanly(peer);
    });
  }
}

function pieces(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1 and RFC 9112, 2.2',
    expects: 'the connection opens, and the message after the answer comes back',
  });
  for (const size of [1, 2, 3, 7, 16, 50, 100]) {
    add(`the answer and a message in pieces of ${bytesText(size)}`, async (attempt) => {
      const { peer } = attempt;
      const bytes = Buffer.from(attempt.acceptText(), 'latin1');
      await peer.sendCut(Buffer.concat([bytes, peer.bytes(EARLY_TEXT)]), size, {
        label: 'an answer',
      });
      await expectMessage(peer, TEXT, utf8('early'));
      await closeCleanly(peer);
    });
  }
  headerCuts(add);
}

/** Adds answers that are cut next to the end of the header. */
function headerCuts(add: AddCase<ClientAttempt>): void {
  for (const at of [-1, 1]) {
    const where = at < 0 ? 'one byte before' : 'one byte after';
    add(`the answer and a message, cut ${where} the end of the header`, async (attempt) => {
      const { peer } = attempt;
      const bytes = Buffer.from(attempt.acceptText(), 'latin1');
      await sendInTwo(attempt, Buffer.concat([bytes, peer.bytes(EARLY_TEXT)]), bytes.length + at);
      await expectMessage(peer, TEXT, utf8('early'));
      await closeCleanly(peer);
    });
  }
}
