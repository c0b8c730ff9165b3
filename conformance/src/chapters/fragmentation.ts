import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  checkAlive,
  closeCleanly,
  closePayload,
  expectAll,
  expectClosed,
  expectFailure,
  expectMessage,
  ping,
} from '../wire/expect.ts';
import {
  BINARY,
  bytesText,
  CLOSE,
  CONTINUATION,
  type FrameSpec,
  opcodeName,
  PING,
  PONG,
  TEXT,
} from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { fragments, sizesOf } from './fragments.ts';
import { addEchoes, addFaults } from './rows.ts';

const TYPES = [
  [TEXT, letters],
  [BINARY, pattern],
] as const;

/** Creates chapter 5: messages in several frames, for both roles. */
export function fragmentation<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(5);
  shapes(chapter);
  ownSegments(chapter);
  withControls(chapter);
  continuations(chapter);
  interrupted(chapter);
  ended(chapter);
  fromTheHeader(chapter);
  moreEchoes(chapter);
  slowly(chapter);
  return chapter;
}

const SHAPES: readonly (readonly [title: string, sizes: readonly number[]])[] = [
  ['two fragments', [5, 5]],
  ['three fragments', [3, 4, 3]],
  ['ten fragments', Array.from({ length: 10 }, () => 7)],
  ['a hundred fragments', Array.from({ length: 100 }, () => 3)],
  ['fragments of one byte', Array.from({ length: 20 }, () => 1)],
  ['an empty first fragment', [0, 8]],
  ['an empty last fragment', [8, 0]],
  ['an empty fragment in the middle', [4, 0, 4]],
  ['two fragments, both empty', [0, 0]],
  ['five fragments, all empty', [0, 0, 0, 0, 0]],
  ['empty fragments around a non-empty one', [0, 0, 6, 0, 0]],
  ['fragments with each length form', [10, 200, 66_000]],
  ['a large first and a small last fragment', [65_536, 1]],
];

function shapes(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, make] of TYPES) {
    const add = chapter.section({
      section: 'RFC 6455, 5.4',
      expects: 'the whole message comes back',
    });
    for (const [title, sizes] of SHAPES) {
      add(`a ${opcodeName(opcode)} message in ${title}, in one segment`, async (attempt) => {
        const peer = await attempt.open();
        await expectWhole(peer, opcode, make(sumOf(sizes)), sizes);
        await closeCleanly(peer);
      });
    }
  }
}

async function expectWhole(
  peer: Peer,
  opcode: number,
  payload: Buffer,
  sizes: readonly number[],
): Promise<void> {
  await peer.sendFrames(...fragments(opcode, payload, sizes));
  await expectMessage(peer, opcode, payload);
}

function sumOf(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + size, 0);
}

function ownSegments(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4',
    expects: 'the whole message comes back',
  });
  for (const [opcode, make] of TYPES) {
    for (const [title, sizes] of SHAPES.slice(0, 3)) {
      add(
        `a ${opcodeName(opcode)} message in ${title}, each in a separate write`,
        async (attempt) => {
          const peer = await attempt.open();
          const payload = make(sumOf(sizes));
          for (const frame of fragments(opcode, payload, sizes)) await peer.sendFrames(frame);
          await expectMessage(peer, opcode, payload);
          await closeCleanly(peer);
        },
      );
    }
    add(`two ${opcodeName(opcode)} messages in fragments, one after the other`, async (attempt) => {
      const peer = await attempt.open();
      await expectWhole(peer, opcode, make(9), [3, 3, 3]);
      await expectWhole(peer, opcode, make(12), [4, 8]);
      await checkAlive(peer);
      await closeCleanly(peer);
    });
    add(
      `a fragmented ${opcodeName(opcode)} message between two unfragmented ones`,
      async (attempt) => {
        const peer = await attempt.open();
        const one = { opcode: TEXT, payload: utf8('one') };
        await peer.sendFrames(one, ...fragments(opcode, make(9), [3, 6]), one);
        await expectMessage(peer, TEXT, one.payload);
        await expectMessage(peer, opcode, make(9));
        await expectMessage(peer, TEXT, one.payload);
        await closeCleanly(peer);
      },
    );
  }
}

function withControls(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 5.5',
    expects: 'the whole message comes back, and the target answers at least the last ping',
  });
  for (const [opcode, make] of TYPES) {
    for (const control of [PING, PONG]) {
      for (const count of [2, 3, 10]) {
        const title = `a ${opcodeName(control)} after each of ${count} fragments of a ${opcodeName(opcode)} message`;
        add(title, async (attempt) => {
          const peer = await attempt.open();
          const sizes = Array.from({ length: count }, () => 5);
          const payload = make(5 * count);
          const frames = fragments(opcode, payload, sizes).flatMap((frame, at) => [
            frame,
            { opcode: control, payload: utf8(`control ${at}`) },
          ]);
          await peer.sendFrames(...frames);
          const last = control === PING ? utf8(`control ${count - 1}`) : undefined;
          await expectAll(peer, [{ opcode, payload }], last);
          await closeCleanly(peer);
        });
      }
    }
  }
}

const WHOLE = { opcode: TEXT, payload: utf8('a whole message') };

const SPLIT = [
  { opcode: TEXT, payload: utf8('a whole '), fin: false },
  { opcode: CONTINUATION, payload: utf8('message') },
] as const;

/** Frames that leave no message to continue. */
const BEFORE_CONTINUATION: readonly (readonly [string, readonly FrameSpec[]])[] = [
  ['as the first frame', []],
  ['after a whole message', [WHOLE]],
  ['after a fragmented message', SPLIT],
  ['after a ping', [{ opcode: PING, payload: utf8('x') }]],
];

function continuations(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4',
    expects: 'the target fails the connection with 1002: there is no message to continue',
  });
  for (const [place, before] of BEFORE_CONTINUATION) {
    for (const fin of [true, false]) {
      for (const payload of [utf8('nothing'), utf8('')]) {
        const what = `${payload.length === 0 ? 'an empty' : 'a'} continuation frame${fin ? '' : ' that is not final'}`;
        add(`${what} ${place}`, async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames(...before, { opcode: CONTINUATION, payload, fin });
          await expectFailure(peer, [1002], 'there is no message to continue', { after: [WHOLE] });
        });
      }
    }
  }
  startsWithContinuation(add);
}

/** Adds a text frame after a continuation frame without a message. */
function startsWithContinuation(add: AddCase<TargetAttempt>): void {
  add(
    'a message that starts with a continuation frame and continues with text',
    async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(
        { opcode: CONTINUATION, payload: utf8('a'), fin: false },
        { opcode: TEXT, payload: utf8('b') },
      );
      await expectFailure(peer, [1002], 'there is no message to continue');
    },
  );
}

function interrupted(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4',
    expects: 'the target fails the connection with 1002: a message is unfinished',
  });
  for (const first of [TEXT, BINARY]) {
    for (const second of [TEXT, BINARY]) {
      for (const fin of [true, false]) {
        const what = `a ${opcodeName(second)} frame${fin ? '' : ' that is not final'}`;
        add(`${what} within a ${opcodeName(first)} message`, async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames(
            { opcode: first, payload: utf8('begun '), fin: false },
            { opcode: second, payload: utf8('another'), fin },
          );
          await expectFailure(peer, [1002], 'a message is unfinished');
        });
      }
    }
    add(`a new frame after two fragments of a ${opcodeName(first)} message`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(
        { opcode: first, payload: utf8('begun '), fin: false },
        { opcode: CONTINUATION, payload: utf8('and '), fin: false },
        { opcode: first, payload: utf8('another') },
      );
      await expectFailure(peer, [1002], 'a message is unfinished');
    });
    add(`a new frame after a ping within a ${opcodeName(first)} message`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(
        { opcode: first, payload: utf8('begun '), fin: false },
        { opcode: PING, payload: utf8('x') },
        { opcode: first, payload: utf8('another') },
      );
      await expectFailure(peer, [1002], 'a message is unfinished');
    });
    add(
      `an empty new frame after an empty fragment of a ${opcodeName(first)} message`,
      async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ opcode: first, fin: false }, { opcode: first });
        await expectFailure(peer, [1002], 'a message is unfinished');
      },
    );
  }
}

function ended(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 5.5.1',
    expects: 'the target answers the close frame, and does not return the unfinished message',
  });
  for (const [opcode] of TYPES) {
    for (const count of [1, 2]) {
      add(
        `a close frame after ${count} of 3 fragments of a ${opcodeName(opcode)} message`,
        async (attempt) => {
          const peer = await attempt.open();
          const begun = fragments(opcode, letters(9), [3, 3, 3]).slice(0, count);
          await peer.sendFrames(...begun, { opcode: CLOSE, payload: closePayload(1000) });
          await expectClosed(peer, 1000, { codes: 'any' });
        },
      );
    }
  }
}

function fromTheHeader(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4',
    level: 'advice',
    expects: 'the target fails the connection with 1002 as soon as the header arrives',
  });
  addFaults(add, [
    {
      title: 'only the header of a continuation frame without a message',
      send: () => [{ opcode: CONTINUATION, payload: letters(100) }],
      withheld: 100,
      codes: [1002],
    },
    {
      title: 'only the header of a text frame within a message',
      send: () => [
        { opcode: TEXT, payload: letters(5), fin: false },
        { opcode: TEXT, payload: letters(100) },
      ],
      withheld: 100,
      codes: [1002],
    },
  ]);
}

function moreEchoes(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4',
    expects: 'the same message comes back, and the target answers the last ping',
  });
  addEchoes(
    add,
    [64, 1300].map((size) => ({
      title: `a text message of 65,536 bytes in fragments of ${bytesText(size)}`,
      send: () => fragments(TEXT, letters(65_536), sizesOf(65_536, size)),
      limits: [1008, 1009],
    })),
  );
  addEchoes(add, [
    {
      title: 'a message of 65,536 bytes in fragments of 1300 bytes and segments of 1300 bytes',
      send: () => fragments(BINARY, pattern(65_536), sizesOf(65_536, 1300)),
      cut: 1300,
    },
    {
      title: 'an empty first fragment, a ping, an empty fragment, a pong and the rest',
      send: () => [
        { opcode: TEXT, fin: false },
        { opcode: PING, payload: letters(3) },
        { opcode: CONTINUATION, fin: false },
        { opcode: PONG },
        { opcode: CONTINUATION, payload: letters(50) },
      ],
    },
  ]);
}

/** Time in ms between two fragments. */
const BETWEEN_FRAGMENTS = 50;

function slowly(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 5.5.2',
    level: 'should',
    expects:
      'the target answers each ping before the next fragment, and the whole message comes back',
  });
  add('a message of six fragments, 50 ms apart, with a ping after each', async (attempt) => {
    const peer = await attempt.open();
    for (const fragment of fragments(TEXT, letters(60), [10, 10, 10, 10, 10, 10])) {
      await peer.sendFrames(fragment);
      if (fragment.fin !== true) await ping(peer);
      await attempt.rest(BETWEEN_FRAGMENTS);
    }
    await expectMessage(peer, TEXT, letters(60));
    await closeCleanly(peer);
  });
}
