import { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  closeCleanly,
  eventWords,
  ping,
  wantAll,
  wantFailure,
  wantMessageOrTooBig,
} from '../wire/expect.ts';
import {
  BINARY,
  bytesWords,
  CLOSE,
  CONTINUATION,
  type FrameSpec,
  opcodeName,
  PING,
  PONG,
  TEXT,
} from '../wire/frame.ts';
import { fragments } from './fragmentation.ts';

const TYPES = [
  [TEXT, letters],
  [BINARY, pattern],
] as const;
const KIB = 1024;
const MIB = 1024 * KIB;

/** Chapter 9: sizes and counts, and lengths that lie, for both roles. */
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
  return chapter;
}

/** Milliseconds that a target is left without a reader. */
const PRESSED = 200;

const MAY_BE_TOO_BIG = {
  section: 'RFC 6455, 7.4.1 and 10.4',
  expects: 'the message comes back, or 1009 says that it is too large',
};

function large(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, make] of TYPES) {
    const add = chapter.section(MAY_BE_TOO_BIG);
    for (const size of [256 * KIB, 512 * KIB, MIB, 2 * MIB, 4 * MIB, 8 * MIB, 16 * MIB]) {
      add(`a ${opcodeName(opcode)} message of ${bytesWords(size)}`, async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFrames({ opcode, payload: make(size) });
        await wantMessageOrTooBig(peer, opcode, make(size));
      });
    }
  }
}

function manyFragments(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 10.4',
    expects: 'the message comes back: 1000 fragments are not many',
  });
  for (const [count, size] of [
    [1000, 1],
    [1000, 64],
    [500, 126],
  ] as const) {
    for (const [opcode, make] of TYPES) {
      add(
        `a ${opcodeName(opcode)} message of ${count} fragments of ${bytesWords(size)}`,
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
          await wantAll(peer, [{ opcode, payload }]);
          await closeCleanly(peer);
        },
      );
    }
  }
  add('a message with 100 empty fragments in a row', async (attempt) => {
    const peer = await attempt.open();
    const sizes = [3, ...Array.from({ length: 100 }, () => 0), 3];
    await peer.sendFrames(...fragments(TEXT, letters(6), sizes));
    await wantAll(peer, [{ opcode: TEXT, payload: letters(6) }]);
    await closeCleanly(peer);
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
      await wantAll(peer, [{ opcode: TEXT, payload }], utf8('199'));
      await closeCleanly(peer);
    },
    { level: 'should', expects: 'the message comes back, and the last ping at least is answered' },
  );
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
        await wantMessageOrTooBig(peer, TEXT, payload, [1009, 1008]);
      },
      {
        section: 'RFC 6455, 10.4',
        expects: 'the message comes back, or 1009 or 1008 says why not',
      },
    );
  }
}

function largeInFragments(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, make] of TYPES) {
    const add = chapter.section(MAY_BE_TOO_BIG);
    for (const size of [256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB]) {
      add(
        `a ${opcodeName(opcode)} message of ${bytesWords(MIB)} in fragments of ${bytesWords(size)}`,
        async (attempt) => {
          const peer = await attempt.open();
          const payload = make(MIB);
          const sizes = Array.from({ length: MIB / size }, () => size);
          await peer.sendFrames(...fragments(opcode, payload, sizes));
          await wantMessageOrTooBig(peer, opcode, payload);
        },
      );
    }
  }
}

function notShortest(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2',
    // The MUST is the sender's; nothing says what a receiver does.
    level: 'should',
    expects: 'the connection is failed with 1002: the shortest form of a length must be used',
  });
  for (const opcode of [TEXT, BINARY]) {
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
        `a ${opcodeName(opcode)} frame of ${bytesWords(size)} with a length of ${lengthBits} bits`,
        async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames({ opcode, payload: letters(size), lengthBits });
          await wantFailure(peer, [1002], 'the length is not in its shortest form');
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
    await wantFailure(peer, [1002], 'the length is not in its shortest form');
  });
}

function notShortestControl(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2 and 5.5',
    level: 'should',
    expects: 'the connection is failed with 1002: a control frame has a length of 7 bits',
  });
  for (const opcode of [PING, PONG, CLOSE]) {
    for (const lengthBits of [16, 64] as const) {
      add(
        `a ${opcodeName(opcode)} frame of 0 bytes with a length of ${lengthBits} bits`,
        async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames({ opcode, lengthBits });
          await wantFailure(peer, [1002], 'a control frame has a length of 7 bits');
        },
      );
    }
  }
}

function topBit(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2',
    expects: 'the connection is failed with 1002: the highest bit of a length must be 0',
  });
  for (const opcode of [TEXT, BINARY, CONTINUATION]) {
    for (const [says, claims] of [
      ['2^63', 2n ** 63n],
      ['2^63 + 5', 2n ** 63n + 5n],
      ['2^64 - 1', 2n ** 64n - 1n],
    ] as const) {
      add(`a ${opcodeName(opcode)} frame that claims ${says} bytes`, async (attempt) => {
        const peer = await attempt.open();
        const before: FrameSpec[] = opcode === CONTINUATION ? [{ opcode: TEXT, fin: false }] : [];
        await peer.sendFrames(...before, { opcode, payload: letters(5), claims });
        await wantFailure(peer, [1002, 1009], 'the highest bit of the length is set');
      });
    }
  }
}

/** Longer than anybody will wait for, and than anybody may set memory aside for. */
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
    expects: 'the connection ends, with 1009 or when we end it; nothing comes back',
  });
  for (const opcode of [TEXT, BINARY]) {
    for (const [says, claims] of CLAIMS) {
      add(
        `a ${opcodeName(opcode)} frame that claims ${says} bytes and has 5, and then our end`,
        async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames({ opcode, payload: letters(5), claims });
          peer.endWrites();
          let event = await peer.next('the end of the connection');
          if (event.kind === 'close') event = await peer.next('the end of the connection');
          if (event.kind !== 'end')
            attempt.fail(`${eventWords(event)} came, where the end was due`);
        },
      );
    }
  }
}

function many(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 10.4',
    expects: 'all messages come back, in order',
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
        `${count} ${opcodeName(opcode)} messages of ${bytesWords(size)} in one write`,
        async (attempt) => {
          const peer = await attempt.open();
          const messages = Array.from({ length: count }, () => ({ opcode, payload: make(size) }));
          await peer.sendFrames(...messages);
          await wantAll(peer, messages);
          await closeCleanly(peer);
        },
      );
    }
  }
  add(
    '1000 pings in one write',
    async (attempt) => {
      const peer = await attempt.open();
      const pings = Array.from({ length: 1000 }, (_, at) => ({
        opcode: PING,
        payload: utf8(`${at}`),
      }));
      await peer.sendFrames(...pings);
      await wantAll(peer, [], utf8('999'));
      await closeCleanly(peer);
    },
    { section: 'RFC 6455, 5.5.3', level: 'should', expects: 'the last ping at least is answered' },
  );
  add(
    '1000 unasked pongs in one write',
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
      expects: 'nothing comes back, and the connection works as before',
    },
  );
}

function slowReader(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4',
    expects: 'all messages come back, in order: none is lost while the target waits for us',
  });
  for (const [count, size] of [
    [160, 100_000],
    [4000, 1000],
  ] as const) {
    add(
      `${count} messages of ${bytesWords(size)}, of which nothing is read at first`,
      async (attempt) => {
        const peer = await attempt.open();
        const messages = Array.from({ length: count }, (_, at) => ({
          opcode: BINARY,
          payload: pattern(size + at),
        }));
        peer.pauseReading();
        const sent = peer.sendFrames(...messages);
        // A target that holds back ends no write of ours, so there is no event to wait for: this is how long it is pressed.
        await Promise.race([sent, new Promise((done) => setTimeout(done, PRESSED))]);
        peer.resumeReading();
        await wantAll(peer, messages);
        await sent;
        await closeCleanly(peer);
      },
    );
  }
}
