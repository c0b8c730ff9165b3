import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  closeCleanly,
  echo,
  expectAll,
  expectEndOrClose,
  expectFailure,
  expectMessageOrTooBig,
  ping,
  type SentMessage,
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
import { addEchoes } from './rows.ts';

const TYPES = [
  [TEXT, letters],
  [BINARY, pattern],
] as const;
const KIB = 1024;
const MIB = 1024 * KIB;

/** Creates chapter 9: sizes, counts and false lengths, for both roles. */
export function limits<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(9);
  large(chapter);
  manyFragments(chapter);
  largeInFragments(chapter);
  notShortest(chapter);
  notShortestControl(chapter);
  topBit(chapter);
  claimed(chapter);
  many(chapter);
  slowReader(chapter);
  largerInFragments(chapter);
  inSegments(chapter);
  oneByOne(chapter);
  emptyFragments(chapter);
  return chapter;
}

/** Time in ms during which the suite does not read. */
const READ_PAUSE = 200;

const MAY_BE_TOO_BIG = {
  section: 'RFC 6455, 7.4.1 and 10.4',
  expects: 'the message comes back, or the target fails the connection with 1009',
};

function large(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, make] of TYPES) {
    const add = chapter.section(MAY_BE_TOO_BIG);
    for (const size of [256 * KIB, 512 * KIB, MIB, 2 * MIB, 4 * MIB, 8 * MIB, 16 * MIB]) {
      add(`a ${opcodeName(opcode)} message of ${bytesText(size)}`, async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ opcode, payload: make(size) });
        await expectMessageOrTooBig(peer, opcode, make(size));
      });
    }
  }
}

/** Close codes of a target that limits the number of frames or messages. */
export const TOO_MANY: readonly number[] = [1008, 1009, 1013];

async function expectAllOrTooMany(peer: Peer, messages: readonly SentMessage[]): Promise<void> {
  if (await expectAll(peer, messages, undefined, TOO_MANY)) await closeCleanly(peer);
}

function manyFragments(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 10.4',
    expects: 'the message comes back, or the target fails the connection with 1008, 1009 or 1013',
  });
  for (const [count, size] of [
    [1000, 1],
    [1000, 64],
    [500, 126],
  ] as const) {
    for (const [opcode, make] of TYPES) {
      add(
        `a ${opcodeName(opcode)} message of ${count} fragments of ${bytesText(size)}`,
        async (attempt) => {
          const peer = await attempt.open();
          const payload = make(count * size);
          await peer.sendFrames(
            ...fragments(
              opcode,
              payload,
              Array.from({ length: count }, () => size),
            ),
          );
          await expectAllOrTooMany(peer, [{ opcode, payload }]);
        },
      );
    }
  }
  unusualFragments(add);
}

/** Adds cases with empty fragments, pings between fragments and very many fragments. */
function unusualFragments(add: AddCase<TargetAttempt>): void {
  add('a message with 100 empty fragments in a row', async (attempt) => {
    const peer = await attempt.open();
    const sizes = [3, ...Array.from({ length: 100 }, () => 0), 3];
    await peer.sendFrames(...fragments(TEXT, letters(6), sizes));
    await expectAllOrTooMany(peer, [{ opcode: TEXT, payload: letters(6) }]);
  });
  add(
    'a message of 200 fragments with a ping after each',
    async (attempt) => {
      const peer = await attempt.open();
      const payload = letters(1000);
      const frames = fragments(
        TEXT,
        payload,
        Array.from({ length: 200 }, () => 5),
      );
      const pings = frames.flatMap((frame, at) => [
        frame,
        { opcode: PING, payload: utf8(`${at}`) },
      ]);
      await peer.sendFrames(...pings);
      await expectAll(peer, [{ opcode: TEXT, payload }], utf8('199'));
      await closeCleanly(peer);
    },
    {
      level: 'should',
      expects: 'the message comes back, and the target answers at least the last ping',
    },
  );
  veryManyFragments(add);
}

/** Adds messages with so many fragments that a target may refuse them. */
function veryManyFragments(add: AddCase<TargetAttempt>): void {
  for (const count of [10_000, 50_000]) {
    add(
      `a message of ${count} fragments of one byte`,
      async (attempt) => {
        const peer = await attempt.open();
        const payload = letters(count);
        await peer.sendFrames(
          ...fragments(
            TEXT,
            payload,
            Array.from({ length: count }, () => 1),
          ),
        );
        await expectMessageOrTooBig(peer, TEXT, payload, [1009, 1008]);
      },
      {
        section: 'RFC 6455, 10.4',
        expects: 'the message comes back, or the target fails the connection with 1009 or 1008',
      },
    );
  }
}

function largeInFragments(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, make] of TYPES) {
    const add = chapter.section(MAY_BE_TOO_BIG);
    for (const size of [256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB]) {
      add(
        `a ${opcodeName(opcode)} message of ${bytesText(MIB)} in fragments of ${bytesText(size)}`,
        async (attempt) => {
          const peer = await attempt.open();
          const payload = make(MIB);
          const sizes = Array.from({ length: MIB / size }, () => size);
          await peer.sendFrames(...fragments(opcode, payload, sizes));
          await expectMessageOrTooBig(peer, opcode, payload);
        },
      );
    }
  }
}

/** Sizes, each with a length form that is too long for it. */
const LONG_FORMS = [TEXT, BINARY];

function notShortest(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2',
    // The MUST applies to the sender. The RFC does not define the receiver's reaction.
    level: 'advice',
    expects:
      'the target fails the connection with 1002: the shortest form of a length must be used',
  });
  for (const opcode of LONG_FORMS) {
    for (const [size, lengthBits] of [
      [0, 16],
      [1, 16],
      [125, 16],
      [0, 64],
      [125, 64],
      [126, 64],
      [65_535, 64],
    ] as const) {
      add(
        `a ${opcodeName(opcode)} frame of ${bytesText(size)} with a length of ${lengthBits} bits`,
        async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames({ opcode, payload: letters(size), lengthBits });
          await expectFailure(peer, [1002], 'the length is not in its shortest form');
        },
      );
    }
  }
  add('a continuation frame of 5 bytes with a length of 16 bits', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: letters(5), fin: false },
      { opcode: CONTINUATION, payload: letters(5), lengthBits: 16 },
    );
    await expectFailure(peer, [1002], 'the length is not in its shortest form');
  });
}

function notShortestControl(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2 and 5.5',
    level: 'advice',
    expects: 'the target fails the connection with 1002: a control frame has a length of 7 bits',
  });
  for (const opcode of [PING, PONG, CLOSE]) {
    for (const lengthBits of [16, 64] as const) {
      add(
        `a ${opcodeName(opcode)} frame of 0 bytes with a length of ${lengthBits} bits`,
        async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames({ opcode, lengthBits });
          await expectFailure(peer, [1002], 'a control frame has a length of 7 bits');
        },
      );
    }
  }
}

/** Lengths with the highest bit set. */
const TOO_HIGH = [
  ['2^63', 2n ** 63n],
  ['2^63 + 5', 2n ** 63n + 5n],
  ['2^64 - 1', 2n ** 64n - 1n],
] as const;

function topBit(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2',
    expects: 'the target fails the connection with 1002: the highest bit of a length must be 0',
  });
  for (const opcode of [TEXT, BINARY, CONTINUATION]) {
    for (const [title, claims] of TOO_HIGH) {
      add(`a ${opcodeName(opcode)} frame that claims ${title} bytes`, async (attempt) => {
        const peer = await attempt.open();
        const before: FrameSpec[] = opcode === CONTINUATION ? [{ opcode: TEXT, fin: false }] : [];
        await peer.sendFrames(...before, { opcode, payload: letters(5), claims });
        await expectFailure(peer, [1002, 1009], 'the highest bit of the length is set');
      });
    }
  }
}

/** Lengths that a target must neither wait for nor allocate. */
const CLAIMS = [
  ['2^31', 2n ** 31n],
  ['2^32 - 1', 2n ** 32n - 1n],
  ['2^32', 2n ** 32n],
  ['2^32 + 5', 2n ** 32n + 5n],
  ['2^40', 2n ** 40n],
  ['2^53 - 1', 2n ** 53n - 1n],
  ['2^53', 2n ** 53n],
  ['2^63 - 1', 2n ** 63n - 1n],
] as const;

function claimed(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 7.1.7 and 10.4',
    expects: 'the target ends the connection, with 1009 or after our FIN, and returns no message',
  });
  for (const opcode of [TEXT, BINARY]) {
    for (const [title, claims] of CLAIMS) {
      add(
        `a ${opcodeName(opcode)} frame that claims ${title} bytes and has 5, then our FIN`,
        async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames({ opcode, payload: letters(5), claims });
          peer.endWrites();
          await expectEndOrClose(peer);
        },
      );
    }
  }
}

function many(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 10.4',
    expects:
      'all messages come back in order, or the target fails the connection with 1008, 1009 or 1013',
  });
  for (const [count, size] of [
    [1000, 0],
    [1000, 10],
    [1000, 125],
    [200, 4000],
    [20, 60_000],
  ] as const) {
    for (const [opcode, make] of TYPES) {
      add(
        `${count} ${opcodeName(opcode)} messages of ${bytesText(size)} in one write`,
        async (attempt) => {
          const peer = await attempt.open();
          const messages = Array.from({ length: count }, () => ({ opcode, payload: make(size) }));
          await peer.sendFrames(...messages);
          await expectAllOrTooMany(peer, messages);
        },
      );
    }
  }
  manyControls(add);
}

/** Adds cases with very many pings or pongs. */
function manyControls(add: AddCase<TargetAttempt>): void {
  add(
    '1000 pings in one write',
    async (attempt) => {
      const peer = await attempt.open();
      const pings = Array.from({ length: 1000 }, (_, at) => ({
        opcode: PING,
        payload: utf8(`${at}`),
      }));
      await peer.sendFrames(...pings);
      await expectAll(peer, [], utf8('999'));
      await closeCleanly(peer);
    },
    {
      section: 'RFC 6455, 5.5.3',
      level: 'should',
      expects: 'the target answers at least the last ping',
    },
  );
  add(
    '1000 unsolicited pongs in one write',
    async (attempt) => {
      const peer = await attempt.open();
      const pongs = Array.from({ length: 1000 }, (_, at) => ({
        opcode: PONG,
        payload: utf8(`${at}`),
      }));
      await peer.sendFrames(...pongs);
      await ping(peer);
      await closeCleanly(peer);
    },
    {
      section: 'RFC 6455, 5.5.3',
      expects: 'the target sends nothing, and the connection still works',
    },
  );
}

function slowReader(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 10.4',
    expects:
      'all messages come back in order, or the target fails the connection with 1008, 1009 or 1013',
  });
  for (const [count, size] of [
    [160, 100_000],
    [4000, 1000],
  ] as const) {
    add(`${count} messages of ${bytesText(size)}, read after a pause`, async (attempt) => {
      const peer = await attempt.open();
      const messages = Array.from({ length: count }, (_, at) => ({
        opcode: BINARY,
        payload: pattern(size + at),
      }));
      peer.pauseReading();
      const sent = peer.sendFrames(...messages);
      // Backpressure can block our write for ever, and no event reports it, so wait a fixed time.
      await Promise.race([sent, attempt.rest(READ_PAUSE)]);
      peer.resumeReading();
      await expectAllOrTooMany(peer, messages);
      await sent;
    });
  }
}

function largerInFragments(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, make] of TYPES) {
    const add = chapter.section(MAY_BE_TOO_BIG);
    for (const size of [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB]) {
      add(
        `a ${opcodeName(opcode)} message of ${bytesText(4 * MIB)} in fragments of ${bytesText(size)}`,
        async (attempt) => {
          const peer = await attempt.open();
          const payload = make(4 * MIB);
          await peer.sendList(fragments(opcode, payload, sizesOf(payload.length, size)));
          await expectMessageOrTooBig(peer, opcode, payload, TOO_MANY);
        },
      );
    }
  }
}

function inSegments(chapter: Chapter<TargetAttempt>): void {
  const sizes = [64, 128, 256, 512, KIB, 2 * KIB];
  for (const [opcode, make] of TYPES) {
    const add = chapter.section(MAY_BE_TOO_BIG);
    const quarters = sizes.filter((size) => opcode === TEXT || size >= 512);
    const cases = [
      ...quarters.map((size) => [256 * KIB, size] as const),
      ...sizes.map((size) => [MIB, size] as const),
    ];
    for (const [length, size] of cases) {
      add(
        `a ${opcodeName(opcode)} message of ${bytesText(length)} in segments of ${bytesText(size)}`,
        async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFramesCut([{ opcode, payload: make(length) }], size, {
            untilAnswered: true,
          });
          await expectMessageOrTooBig(peer, opcode, make(length));
        },
      );
    }
  }
}

function oneByOne(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, make] of TYPES) {
    const add = chapter.section({
      section: 'RFC 6455, 5.6',
      expects: 'each message comes back',
    });
    for (const size of [0, 16, 64, 256, KIB, 4 * KIB]) {
      add(
        `1000 ${opcodeName(opcode)} messages of ${bytesText(size)}, each sent when the previous one is back`,
        async (attempt) => {
          const peer = await attempt.open();
          for (let left = 1000; left > 0; left--) await echo(peer, opcode, make(size));
          await closeCleanly(peer);
        },
      );
    }
  }
}

function emptyFragments(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 10.4',
    expects: 'the message comes back, or the target fails the connection with 1008, 1009 or 1013',
  });
  addEchoes(add, [
    {
      title: 'a message with 100,000 empty fragments',
      send: () => fragments(BINARY, pattern(2), [1, ...Array<number>(100_000).fill(0), 1]),
      limits: TOO_MANY,
    },
  ]);
}
