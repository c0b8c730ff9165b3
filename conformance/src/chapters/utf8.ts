import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import {
  INVALID_TEXTS,
  type InvalidText,
  MORE_INVALID_TEXTS,
  MORE_VALID_TEXTS,
  VALID_TEXTS,
} from '../tables/utf8-texts.ts';
import { hex, letters, utf8 } from '../wire/bytes.ts';
import { checkAlive, closeCleanly, echo, expectFailure, expectMessage } from '../wire/expect.ts';
import { BINARY, type FrameSpec, TEXT } from '../wire/frame.ts';
import { fragments } from './fragments.ts';
import { addEchoes, addFaults } from './rows.ts';

/** Close codes for invalid UTF-8. */
const CODES = [1007];
const NOT_UTF8 = 'the text is not UTF-8';

/** Creates chapter 6: text is UTF-8, for both roles. */
export function utf8Texts<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(6);
  valid(chapter);
  validInPieces(chapter);
  invalid(chapter);
  invalidInFragments(chapter);
  atOnce(chapter);
  atOnceInFragments(chapter);
  places(chapter);
  everySplit(chapter);
  noncharacters(chapter);
  surrogatePairs(chapter);
  atOnceInPieces(chapter);
  moreTexts(chapter);
  return chapter;
}

function valid(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 5.6', expects: 'the same text comes back' });
  for (const { title, bytes } of VALID_TEXTS) {
    add(`${title}, in one frame`, async (attempt) => {
      const peer = await attempt.open();
      await echo(peer, TEXT, bytes);
      await closeCleanly(peer);
    });
  }
}

function validInPieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.6 and 8.1',
    expects: 'the same text comes back: a single fragment need not be valid UTF-8',
  });
  // A character of one byte cannot be split.
  for (const { title, bytes } of VALID_TEXTS.filter(({ bytes }) => bytes.length > 1)) {
    add(`${title}, one byte per fragment`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...byteFragments(TEXT, bytes));
      await expectMessage(peer, TEXT, bytes);
      await closeCleanly(peer);
    });
  }
}

function byteFragments(opcode: number, bytes: Uint8Array): FrameSpec[] {
  return fragments(
    opcode,
    bytes,
    Array.from(bytes, () => 1),
  );
}

function invalid(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 8.1',
    expects: 'the target fails the connection with 1007',
  });
  for (const { title, bytes } of INVALID_TEXTS) {
    add(`${title}, in one frame`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: TEXT, payload: bytes });
      await expectFailure(peer, CODES, NOT_UTF8);
    });
  }
}

function invalidInFragments(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 8.1',
    expects: 'the target fails the connection with 1007',
  });
  for (const { title, bytes, decidedAt } of INVALID_TEXTS) {
    add(`${title}, one byte per fragment, after valid ones`, async (attempt) => {
      const peer = await attempt.open();
      const tail = decidedAt === undefined ? utf8('') : utf8('σμε');
      await peer.sendFrames(...byteFragments(TEXT, Buffer.concat([utf8('κό'), bytes, tail])));
      await expectFailure(peer, CODES, NOT_UTF8);
    });
  }
}

/** Texts that become invalid at a certain byte. */
const DECIDED = INVALID_TEXTS.filter(
  (text): text is InvalidText & { decidedAt: number } => text.decidedAt !== undefined,
);

function atOnce(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 8.1',
    level: 'advice',
    expects: 'the target fails the connection with 1007 before the message is complete',
  });
  for (const { title, bytes, decidedAt } of DECIDED) {
    add(`${title}, in an incomplete frame`, async (attempt) => {
      const peer = await attempt.open();
      const begun = Buffer.concat([utf8('good: '), bytes.subarray(0, decidedAt)]);
      const whole = peer.bytes({ opcode: TEXT, payload: Buffer.concat([begun, letters(100)]) });
      await peer.send(whole.subarray(0, whole.length - 100), 'the beginning of a text frame');
      await expectFailure(peer, CODES, NOT_UTF8, { within: attempt.shouldTimeout });
    });
  }
}

function atOnceInFragments(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 8.1',
    level: 'advice',
    expects: 'the target fails the connection with 1007 before the message is complete',
  });
  for (const { title, bytes, decidedAt } of DECIDED) {
    add(`${title}, in an incomplete message`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(
        { opcode: TEXT, payload: utf8('good: '), fin: false },
        { opcode: 0, payload: bytes.subarray(0, decidedAt), fin: false },
      );
      await expectFailure(peer, CODES, NOT_UTF8, { within: attempt.shouldTimeout });
    });
  }
}

function places(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 8.1',
    expects: 'the target fails the connection with 1007',
  });
  const bad = Buffer.from([0xff]);
  for (const [place, head, tail] of [
    ['the first of 1000', 0, 999],
    ['the 64th of 1000', 63, 936],
    ['the last of 1000', 999, 0],
    ['the last of 65,536', 65_535, 0],
    ['the last of 131,072', 131_071, 0],
  ] as const) {
    add(`an invalid byte that is ${place}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({
        opcode: TEXT,
        payload: Buffer.concat([letters(head), bad, letters(tail)]),
      });
      // A target may limit large messages before it checks them.
      await expectFailure(peer, head > 1000 ? [1007, 1009] : CODES, NOT_UTF8);
    });
  }
  acrossMessages(add);
  outsideText(add);
}

/** Adds cases with several messages, or with an empty last fragment. */
function acrossMessages(add: AddCase<TargetAttempt>): void {
  const bad = Buffer.from([0xff]);
  const good = { opcode: TEXT, payload: utf8('a good one') };
  add('an invalid text after a valid one', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(good, { opcode: TEXT, payload: bad });
    await expectFailure(peer, CODES, NOT_UTF8, { after: [good] });
  });
  add('an invalid text after invalid bytes in a binary message', async (attempt) => {
    const peer = await attempt.open();
    await echo(peer, BINARY, bad);
    await peer.sendFrames({ opcode: TEXT, payload: bad });
    await expectFailure(peer, CODES, NOT_UTF8);
  });
  add('a character that starts in one message and ends in the next', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: Buffer.from([0xc3]) },
      { opcode: TEXT, payload: Buffer.from([0xa9]) },
    );
    await expectFailure(peer, CODES, NOT_UTF8);
  });
  add('an incomplete character before an empty last fragment', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(...fragments(TEXT, Buffer.from([0xe2, 0x82]), [2, 0]));
    await expectFailure(peer, CODES, NOT_UTF8);
  });
}

/** Adds cases with invalid UTF-8 outside a text message. */
function outsideText(add: AddCase<TargetAttempt>): void {
  add(
    'a ping between the two bytes of a character',
    async (attempt) => {
      const peer = await attempt.open();
      const [head, tail] = fragments(TEXT, utf8('é'), [1, 1]);
      await peer.sendFrames(head!, { opcode: 9, payload: Buffer.from([0xff]) }, tail!);
      await expectMessage(peer, TEXT, utf8('é'));
      await checkAlive(peer);
      await closeCleanly(peer);
    },
    { expects: 'the text comes back without the payload of the ping' },
  );
  invalidBinaries(add);
}

/** Adds binary messages with invalid UTF-8. */
function invalidBinaries(add: AddCase<TargetAttempt>): void {
  for (const opcode of ['fragmented', 'whole'] as const) {
    add(
      `invalid UTF-8 in a ${opcode} binary message`,
      async (attempt) => {
        const peer = await attempt.open();
        const bytes = Buffer.concat(INVALID_TEXTS.map((text) => text.bytes));
        const sizes = opcode === 'whole' ? [bytes.length] : [7, bytes.length - 7];
        await peer.sendFrames(...fragments(BINARY, bytes, sizes));
        await expectMessage(peer, BINARY, bytes);
        await closeCleanly(peer);
      },
      { section: 'RFC 6455, 5.6', expects: 'the same bytes come back' },
    );
  }
}

/** Characters of one to four bytes. */
const SPLIT_TEXT = utf8('a¢€𐍈!');

function everySplit(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.6 and 8.1',
    expects: 'the same text comes back',
  });
  for (let at = 1; at < SPLIT_TEXT.length; at++) {
    add(`"a¢€𐍈!" in two fragments, cut after byte ${at}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...fragments(TEXT, SPLIT_TEXT, [at, SPLIT_TEXT.length - at]));
      await expectMessage(peer, TEXT, SPLIT_TEXT);
      await closeCleanly(peer);
    });
  }
  for (let at = 1; at < SPLIT_TEXT.length; at++) {
    add(`"a¢€𐍈!" in one frame, written in two segments, cut after byte ${at}`, async (attempt) => {
      const peer = await attempt.open();
      const frame = peer.bytes({ opcode: TEXT, payload: SPLIT_TEXT });
      const cutAt = frame.length - SPLIT_TEXT.length + at;
      await peer.sendPieces([frame.subarray(0, cutAt), frame.subarray(cutAt)]);
      await expectMessage(peer, TEXT, SPLIT_TEXT);
      await closeCleanly(peer);
    });
  }
}

/** Code points that are assigned to no character, and are valid text. */
const NONCHARACTERS: readonly number[] = [
  ...Array.from({ length: 17 }, (_, plane) => [0xfffe, 0xffff].map((end) => plane * 65_536 + end)),
  0xfff9,
  0xfffa,
  0xfffb,
  0xfffc,
  ...Array.from({ length: 0x20 }, (_, at) => 0xfdd0 + at),
].flat();

function noncharacters(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({ section: 'RFC 3629, 3', expects: 'the same text comes back' });
  addEchoes(
    add,
    NONCHARACTERS.map((point) => ({
      title: `the noncharacter or special U+${point.toString(16).toUpperCase().padStart(4, '0')}`,
      send: () => [{ opcode: TEXT, payload: utf8(String.fromCodePoint(point)) }],
    })),
  );
}

/** Limits of the high and the low surrogates, in UTF-8. */
const HIGH = ['ed a0 80', 'ed ad bf', 'ed ae 80', 'ed af bf'];
const LOW = ['ed b0 80', 'ed bf bf'];

function surrogatePairs(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 8.1; RFC 3629, 3',
    expects: 'the target fails the connection with 1007',
  });
  addFaults(
    add,
    HIGH.flatMap((high) =>
      LOW.map((low) => ({
        title: `the surrogates ${high} and ${low}`,
        send: () => [{ opcode: TEXT, payload: hex(`${high} ${low}`) }],
        codes: CODES,
      })),
    ),
  );
}

/** A good beginning, a part that makes the text invalid, and a good end. */
const GOOD_BAD_GOOD = [utf8('κόσμε'), hex('f4 90 80 80'), utf8('edited')] as const;

function atOnceInPieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 8.1',
    level: 'advice',
    expects: 'the target fails the connection with 1007 before the message is complete',
  });
  const whole = Buffer.concat(GOOD_BAD_GOOD);
  const [good, bad, end] = GOOD_BAD_GOOD.map(({ length }) => length) as [number, number, number];
  addFaults(add, [
    {
      title: 'an invalid text in three fragments, without the last one',
      send: () => fragments(TEXT, whole, [good, bad, end]).slice(0, 2),
      early: true,
      codes: CODES,
    },
    {
      title: 'an invalid text in one frame, one byte per segment, without its last six bytes',
      send: () => [{ opcode: TEXT, payload: whole }],
      cut: 1,
      withheld: end,
      codes: CODES,
    },
    {
      title: 'an invalid text, one byte per fragment, without its last six fragments',
      send: () => byteFragments(TEXT, whole).slice(0, good + bad),
      early: true,
      codes: CODES,
    },
  ]);
}

function moreTexts(chapter: Chapter<TargetAttempt>): void {
  addEchoes(chapter.section({ section: 'RFC 6455, 5.6', expects: 'the same text comes back' }), [
    ...MORE_VALID_TEXTS.map(({ title, bytes }) => ({
      title,
      send: () => [{ opcode: TEXT, payload: bytes }],
    })),
    { title: 'three empty fragments', send: () => fragments(TEXT, utf8(''), [0, 0, 0]) },
  ]);
  addFaults(
    chapter.section({
      section: 'RFC 6455, 8.1',
      expects: 'the target fails the connection with 1007',
    }),
    MORE_INVALID_TEXTS.map(({ title, bytes }) => ({
      title,
      send: () => [{ opcode: TEXT, payload: bytes }],
      codes: CODES,
    })),
  );
}
