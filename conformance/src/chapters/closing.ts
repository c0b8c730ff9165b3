import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import {
  FORBIDDEN_CODES,
  LATER_CODES,
  UNASSIGNED_CODES,
  VALID_CODES,
} from '../tables/close-codes.ts';
import { INVALID_TEXTS, VALID_TEXTS } from '../tables/utf8-texts.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  checkAlive,
  closeCleanly,
  closePayload,
  expectClosed,
  expectFailure,
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
import { connectionEnds } from './connection-ends.ts';

/** Creates chapter 7: the closing handshake, for both roles. */
export function closing<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(7);
  answered(chapter);
  afterwards(chapter);
  validCodes(chapter);
  laterCodes(chapter);
  badCodes(chapter);
  reasons(chapter);
  badReasons(chapter);
  malformed(chapter);
  inPieces(chapter);
  connectionEnds(chapter);
  return chapter;
}

const ANSWERED = {
  section: 'RFC 6455, 5.5.1',
  expects: 'the target answers with a close frame and ends the connection',
};

function answered(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section(ANSWERED);
  add('a close frame with 1000', async (attempt) => closeCleanly(await attempt.open()));
  add(
    'a close frame without a code',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE });
      // 7.1.5: the target received no code. It may answer with 1000 or without a code.
      await expectClosed(peer, undefined, { codes: [undefined, 1000] });
    },
    { section: 'RFC 6455, 5.5.1 and 7.1.5' },
  );
  add('a close frame after an echo', async (attempt) => {
    const peer = await attempt.open();
    await checkAlive(peer);
    await closeCleanly(peer);
  });
  add('a close frame after a ping and a pong', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: PING }, { opcode: PONG });
    await closeCleanly(peer);
  });
  answeredReasons(add);
}

/** Adds close frames with a reason. */
function answeredReasons(add: AddCase<TargetAttempt>): void {
  for (const size of [1, 2, 50, 122, 123]) {
    add(`a close frame with a reason of ${bytesText(size)}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, letters(size)) });
      await expectClosed(peer, 1000);
    });
  }
}

/** Frames after a close frame. */
const LATE_FRAMES: readonly (readonly [string, readonly FrameSpec[]])[] = [
  ['a text message', [{ opcode: TEXT, payload: utf8('too late') }]],
  ['a binary message', [{ opcode: BINARY, payload: pattern(10) }]],
  ['a fragment', [{ opcode: TEXT, payload: utf8('too late'), fin: false }]],
  ['a ping', [{ opcode: PING, payload: utf8('too late') }]],
  ['a pong', [{ opcode: PONG, payload: utf8('too late') }]],
  ['a second close frame', [{ opcode: CLOSE, payload: closePayload(1001) }]],
  [
    'ten close frames',
    Array.from({ length: 10 }, () => ({ opcode: CLOSE, payload: closePayload(1000) })),
  ],
  ['a frame with RSV1', [{ opcode: TEXT, payload: utf8('too late'), rsv: 4 }]],
  ['a frame with a reserved opcode', [{ opcode: 5 }]],
  ['a text that is not UTF-8', [{ opcode: TEXT, payload: Buffer.from([0xff]) }]],
];

function afterwards(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 1.4 and 5.5.1',
    expects: 'the target answers the close frame and ignores later frames',
  });
  for (const [title, frames] of LATE_FRAMES) {
    add(`${title} after a close frame, in the same segment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) }, ...frames);
      await expectClosed(peer, 1000);
    });
  }
  largeAfterwards(add);
}

/** Adds a large message after a close frame. */
function largeAfterwards(add: AddCase<TargetAttempt>): void {
  add(
    'a large message after a close frame',
    async (attempt) => {
      const peer = await attempt.open();
      const late = { opcode: BINARY, payload: pattern(200_000) };
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) }, late);
      await expectClosed(peer, 1000);
    },
    // A target that closes a socket with unread bytes resets it, and the answer can be lost.
    { section: 'RFC 6455, 7.1.1', level: 'should' },
  );
}

function validCodes(chapter: Chapter<TargetAttempt>): void {
  for (const reason of ['', 'with a reason']) {
    const add = chapter.section({
      section: 'RFC 6455, 7.4.1 and 7.4.2',
      expects: 'the target answers with the same code',
    });
    for (const code of VALID_CODES) {
      add(`close code ${code}${reason === '' ? '' : `, ${reason}`}`, async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ opcode: CLOSE, payload: closePayload(code, reason) });
        await expectClosed(peer, code);
      });
    }
  }
}

function laterCodes(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: "IANA's registry, after RFC 6455, 11.7",
    expects: 'the target answers with the same code, or with 1002 when it does not know the code',
  });
  for (const code of LATER_CODES) {
    add(`close code ${code}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(code) });
      await expectClosed(peer, code, { codes: [code, 1002] });
    });
  }
}

function badCodes(chapter: Chapter<TargetAttempt>): void {
  const facts = { section: 'RFC 6455, 7.4', expects: 'the target fails the connection with 1002' };
  for (const reason of ['', 'with a reason']) {
    const must = chapter.section(facts);
    for (const code of FORBIDDEN_CODES) addBadCode(must, code, reason);
  }
  // Only the sender of an unassigned code breaks a rule.
  const advice = chapter.section({ ...facts, level: 'advice' });
  for (const code of UNASSIGNED_CODES) addBadCode(advice, code, '');
}

function addBadCode(add: AddCase<TargetAttempt>, code: number, reason: string): void {
  add(`close code ${code}${reason === '' ? '' : `, ${reason}`}`, async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(code, reason) });
    await expectFailure(peer, [1002], `close code ${code} must not be sent`);
  });
}

function reasons(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section(ANSWERED);
  for (const { title, bytes } of VALID_TEXTS.slice(-8)) {
    add(`a reason: ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, bytes.subarray(0, 123)) });
      await expectClosed(peer, 1000);
    });
  }
  unusualReasons(add);
}

/** Adds reasons of long characters and of zeros. */
function unusualReasons(add: AddCase<TargetAttempt>): void {
  add('a reason of 41 characters of three bytes', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, '€'.repeat(41)) });
    await expectClosed(peer, 1000);
  });
  add('a reason of zeros', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, Buffer.alloc(20)) });
    await expectClosed(peer, 1000);
  });
}

function badReasons(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.1 and 8.1',
    expects: 'the target fails the connection with 1007: the reason is not UTF-8',
  });
  for (const { title, bytes } of INVALID_TEXTS) {
    add(`a reason with ${title}`, async (attempt) => {
      const peer = await attempt.open();
      const reason = Buffer.concat([utf8('so: '), bytes]);
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, reason) });
      await expectFailure(peer, [1007], 'the reason is not UTF-8', { notAsGood: [1000] });
    });
  }
}

function malformed(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5 and 5.5.1',
    expects: 'the target fails the connection with 1002',
  });
  for (const byte of [0x00, 0x03, 0xe8, 0xff]) {
    add(`a close frame of one byte, ${byte.toString(16).padStart(2, '0')}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: Buffer.from([byte]) });
      await expectFailure(peer, [1002], 'half a close code', { notAsGood: [1000, undefined] });
    });
  }
  tooLong(add);
  brokenCloses(add);
}

/** Adds close frames of more than 125 bytes. */
function tooLong(add: AddCase<TargetAttempt>): void {
  for (const size of [126, 127, 1000, 65_536]) {
    add(`a close frame of ${bytesText(size)}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, letters(size - 2)) });
      await expectFailure(peer, [1002], 'the control frame is too long', { notAsGood: [1000] });
    });
  }
}

/** Adds close frames in fragments, and one whose reason ends within a character. */
function brokenCloses(add: AddCase<TargetAttempt>): void {
  add('a close frame that is not final', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000), fin: false });
    await expectFailure(peer, [1002], 'a control frame must not be fragmented', {
      notAsGood: [1000],
    });
  });
  add('a close frame in two fragments', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: CLOSE, payload: closePayload(1000, 'half'), fin: false },
      { opcode: CONTINUATION, payload: utf8('half') },
    );
    await expectFailure(peer, [1002], 'a control frame must not be fragmented', {
      notAsGood: [1000],
    });
  });
  add(
    'a close frame with a reason that ends within a character',
    async (attempt) => {
      const peer = await attempt.open();
      const reason = utf8('€'.repeat(42)).subarray(0, 122);
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, reason) });
      await expectFailure(peer, [1007], 'the reason is not UTF-8', { notAsGood: [1000] });
    },
    { expects: 'the target fails the connection with 1007' },
  );
}

/** Payload sizes of a close frame, each with the size of the pieces. */
const PIECES = [
  [0, 1],
  [2, 1],
  [20, 1],
  [125, 1],
  [125, 10],
] as const;

function inPieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section(ANSWERED);
  for (const [size, piece] of PIECES) {
    add(
      `a close frame of ${bytesText(size)}, in pieces of ${bytesText(piece)}`,
      async (attempt) => {
        const peer = await attempt.open();
        const payload = size === 0 ? utf8('') : closePayload(1000, letters(size - 2));
        await peer.sendFramesCut([{ opcode: CLOSE, payload }], piece);
        await expectClosed(peer, 1000, { codes: size === 0 ? [undefined, 1000] : [1000] });
      },
    );
  }
  withFin(add);
}

/** Adds a close frame with our FIN. */
function withFin(add: AddCase<TargetAttempt>): void {
  add('a close frame followed by our FIN', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) });
    peer.endWrites();
    await expectClosed(peer, 1000);
  });
}
