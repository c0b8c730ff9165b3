import { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import {
  FORBIDDEN_CODES,
  LATER_CODES,
  UNASSIGNED_CODES,
  VALID_CODES,
} from '../tables/close-codes.ts';
import { INVALID_TEXTS, VALID_TEXTS } from '../tables/utf8-texts.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import { alive, closeCleanly, closePayload, wantClosed, wantFailure } from '../wire/expect.ts';
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
import { ends } from './ends.ts';

/** Chapter 7: the closing handshake, for both roles. */
export function closing<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(7);
  answered(chapter);
  afterwards(chapter);
  validCodes(chapter);
  badCodes(chapter);
  reasons(chapter);
  badReasons(chapter);
  malformed(chapter);
  inPieces(chapter);
  ends(chapter);
  return chapter;
}

const ANSWERED = { section: 'RFC 6455, 5.5.1', expects: 'a close frame comes back, and the end' };

function answered(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section(ANSWERED);
  add('a close frame with 1000', async (attempt) => closeCleanly(await attempt.open()));
  add(
    'a close frame without a code',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE });
      // 7.1.5: no code was received; an endpoint that echoes 1000 or nothing has answered.
      await wantClosed(peer, undefined, { codes: [undefined, 1000] });
    },
    { section: 'RFC 6455, 5.5.1 and 7.1.5' },
  );
  add('a close frame after an echo', async (attempt) => {
    const peer = await attempt.open();
    await alive(peer);
    await closeCleanly(peer);
  });
  add('a close frame after a ping and a pong', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: PING }, { opcode: PONG });
    await closeCleanly(peer);
  });
  for (const size of [1, 2, 50, 122, 123]) {
    add(`a close frame with a reason of ${bytesWords(size)}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, letters(size)) });
      await wantClosed(peer, 1000);
    });
  }
}

function afterwards(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 1.4 and 5.5.1',
    expects: 'the closing is answered, and what came after it is not',
  });
  const after: readonly (readonly [string, readonly FrameSpec[]])[] = [
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
  for (const [title, frames] of after) {
    add(`${title} after a close frame, in the same segment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) }, ...frames);
      await wantClosed(peer, 1000);
    });
  }
  add(
    'a large message after a close frame',
    async (attempt) => {
      const peer = await attempt.open();
      const late = { opcode: BINARY, payload: pattern(200_000) };
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) }, late);
      await wantClosed(peer, 1000);
    },
    // Who closes with bytes unread resets the connection, and the answer is lost on its way.
    { section: 'RFC 6455, 7.1.1', level: 'should' },
  );
}

function validCodes(chapter: Chapter<TargetAttempt>): void {
  for (const reason of ['', 'with a reason']) {
    const add = chapter.section({
      section: 'RFC 6455, 7.4.1 and 7.4.2',
      expects: 'the closing is answered with the same code',
    });
    for (const code of VALID_CODES) {
      add(`close code ${code}${reason === '' ? '' : `, ${reason}`}`, async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ opcode: CLOSE, payload: closePayload(code, reason) });
        await wantClosed(peer, code);
      });
    }
  }
  const add = chapter.section({
    section: "IANA's registry, after RFC 6455, 11.7",
    expects: 'the closing is answered with the same code, or with 1002 by who does not know it',
  });
  for (const code of LATER_CODES) {
    add(`close code ${code}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(code) });
      await wantClosed(peer, code, { codes: [code, 1002] });
    });
  }
}

function badCodes(chapter: Chapter<TargetAttempt>): void {
  const facts = { section: 'RFC 6455, 7.4', expects: 'the connection is failed with 1002' };
  for (const reason of ['', 'with a reason']) {
    const must = chapter.section(facts);
    for (const code of FORBIDDEN_CODES) addBadCode(must, code, reason);
  }
  const should = chapter.section({ ...facts, level: 'should' });
  for (const code of UNASSIGNED_CODES) addBadCode(should, code, '');
}

function addBadCode(
  add: ReturnType<Chapter<TargetAttempt>['section']>,
  code: number,
  reason: string,
): void {
  add(`close code ${code}${reason === '' ? '' : `, ${reason}`}`, async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(code, reason) });
    await wantFailure(peer, [1002], `close code ${code} must not be sent`);
  });
}

function reasons(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section(ANSWERED);
  for (const { says, bytes } of VALID_TEXTS.slice(-8)) {
    add(`a reason: ${says}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, bytes.subarray(0, 123)) });
      await wantClosed(peer, 1000);
    });
  }
  add('a reason of 41 characters of three bytes', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, '€'.repeat(41)) });
    await wantClosed(peer, 1000);
  });
  add('a reason of zeros', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, Buffer.alloc(20)) });
    await wantClosed(peer, 1000);
  });
}

function badReasons(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5.1 and 8.1',
    expects: 'the connection is failed with 1007: the reason is not UTF-8',
  });
  for (const { says, bytes } of INVALID_TEXTS) {
    add(`a reason with ${says}`, async (attempt) => {
      const peer = await attempt.open();
      const reason = Buffer.concat([utf8('so: '), bytes]);
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, reason) });
      await wantFailure(peer, [1007], 'the reason is not UTF-8', { notAsGood: [1000] });
    });
  }
}

function malformed(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.5 and 5.5.1',
    expects: 'the connection is failed with 1002',
  });
  for (const byte of [0x00, 0x03, 0xe8, 0xff]) {
    add(`a close frame of one byte, ${byte.toString(16).padStart(2, '0')}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: Buffer.from([byte]) });
      await wantFailure(peer, [1002], 'half a close code', { notAsGood: [1000, undefined] });
    });
  }
  for (const size of [126, 127, 1000, 65_536]) {
    add(`a close frame of ${bytesWords(size)}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, letters(size - 2)) });
      await wantFailure(peer, [1002], 'the control frame is too long', { notAsGood: [1000] });
    });
  }
  add('a close frame that is not final', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000), fin: false });
    await wantFailure(peer, [1002], 'a control frame must not be fragmented', {
      notAsGood: [1000],
    });
  });
  add('a close frame in two fragments', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: CLOSE, payload: closePayload(1000, 'half'), fin: false },
      { opcode: CONTINUATION, payload: utf8('half') },
    );
    await wantFailure(peer, [1002], 'a control frame must not be fragmented', {
      notAsGood: [1000],
    });
  });
  add(
    'a close frame with a reason that is cut within a character by its 123 bytes',
    async (attempt) => {
      const peer = await attempt.open();
      const reason = utf8('€'.repeat(42)).subarray(0, 122);
      await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000, reason) });
      await wantFailure(peer, [1007], 'the reason is not UTF-8', { notAsGood: [1000] });
    },
    { expects: 'the connection is failed with 1007' },
  );
}

function inPieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section(ANSWERED);
  for (const [size, piece] of [
    [0, 1],
    [2, 1],
    [20, 1],
    [125, 1],
    [125, 10],
  ] as const) {
    add(
      `a close frame of ${bytesWords(size)}, in pieces of ${bytesWords(piece)}`,
      async (attempt) => {
        const peer = await attempt.open();
        const payload = size === 0 ? utf8('') : closePayload(1000, letters(size - 2));
        await peer.sendFramesCut([{ opcode: CLOSE, payload }], piece);
        await wantClosed(peer, 1000, { codes: size === 0 ? [undefined, 1000] : [1000] });
      },
    );
  }
  add('a close frame, and the end of our half with it', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: CLOSE, payload: closePayload(1000) });
    peer.endWrites();
    await wantClosed(peer, 1000);
  });
}
