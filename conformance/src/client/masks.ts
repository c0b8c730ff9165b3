import type { ClientAttempt } from '../attempts/client-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  checkAlive,
  closeCleanly,
  closePayload,
  echo,
  expectClosed,
  expectFailure,
  expectMessage,
  expectPong,
  ping,
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
import { bitFaults, countRepeats, maxRepeats, needsSamples } from './randomness.ts';

/**
 * Creates chapter 11 for clients: they mask each frame with a fresh key, and reject masked frames.
 */
export function masks(): Chapter<ClientAttempt> {
  const chapter = new Chapter<ClientAttempt>(11);
  masked(chapter);
  maskedLater(chapter);
  everyFrame(chapter);
  randomKeys(chapter);
  keysOfTheRun(chapter);
  return chapter;
}

const KEY = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const WHY = 'a server must not mask';
const FAILED = {
  section: 'RFC 6455, 5.1',
  expects: 'the target fails the connection with 1002: a server must not mask',
};

/** Frames that a server must not mask. */
const MASKED: readonly (readonly [string, FrameSpec])[] = [
  ['text message', { opcode: TEXT, payload: utf8('masked') }],
  ['binary message', { opcode: BINARY, payload: pattern(20) }],
  ['empty text message', { opcode: TEXT }],
  ['empty binary message', { opcode: BINARY }],
  ['text message of 125 bytes', { opcode: TEXT, payload: letters(125) }],
  ['text message of 126 bytes', { opcode: TEXT, payload: letters(126) }],
  ['binary message of 65,536 bytes', { opcode: BINARY, payload: pattern(65_536) }],
  ['first fragment', { opcode: TEXT, payload: utf8('masked'), fin: false }],
  ['ping', { opcode: PING, payload: utf8('masked') }],
  ['empty ping', { opcode: PING }],
  ['pong', { opcode: PONG, payload: utf8('masked') }],
  ['empty pong', { opcode: PONG }],
  ['close frame with 1000', { opcode: CLOSE, payload: closePayload(1000) }],
  ['close frame with a reason', { opcode: CLOSE, payload: closePayload(1000, 'masked') }],
  ['empty close frame', { opcode: CLOSE }],
];

function masked(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section(FAILED);
  for (const [title, frame] of MASKED) {
    add(`a masked ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ ...frame, mask: KEY });
      await expectFailure(peer, [1002], WHY);
    });
  }
  uniformKeys(add);
}

/** Adds cases with a masking key of equal bytes. */
function uniformKeys(add: AddCase<ClientAttempt>): void {
  for (const [title, key] of [
    ['zeros', Buffer.alloc(4)],
    ['ones', Buffer.alloc(4, 0xff)],
  ] as const) {
    add(`a text message masked with ${title} only`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: TEXT, payload: utf8('masked'), mask: key });
      await expectFailure(peer, [1002], WHY);
    });
  }
}

function maskedLater(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section(FAILED);
  add('a masked message after the echo of a plain one', async (attempt) => {
    const peer = await attempt.open();
    await checkAlive(peer);
    await peer.sendFrames({ opcode: TEXT, payload: utf8('masked'), mask: KEY });
    await expectFailure(peer, [1002], WHY);
  });
  add('a masked and a plain message in one segment, the plain one first', async (attempt) => {
    const peer = await attempt.open();
    const plain = { opcode: TEXT, payload: utf8('plain') };
    await peer.sendFrames(plain, { opcode: TEXT, payload: utf8('masked'), mask: KEY });
    await expectFailure(peer, [1002], WHY, { after: [plain] });
  });
  add('a masked continuation of a plain fragment', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: utf8('plain'), fin: false },
      { opcode: CONTINUATION, payload: utf8('masked'), mask: KEY },
    );
    await expectFailure(peer, [1002], WHY);
  });
  add('a masked ping between plain fragments', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: utf8('plain'), fin: false },
      { opcode: PING, mask: KEY },
      { opcode: CONTINUATION, payload: utf8('plain') },
    );
    await expectFailure(peer, [1002], WHY);
  });
  add('a plain continuation of a masked fragment', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: utf8('masked'), fin: false, mask: KEY },
      { opcode: CONTINUATION, payload: utf8('plain') },
    );
    await expectFailure(peer, [1002], WHY);
  });
  maskedInPieces(add);
}

/** Adds cases with a masked frame in several segments, or only its header. */
function maskedInPieces(add: AddCase<ClientAttempt>): void {
  for (const piece of [1, 3]) {
    add(`a masked message in segments of ${bytesText(piece)}`, async (attempt) => {
      const peer = await attempt.open();
      const frame = { opcode: TEXT, payload: utf8('masked'), mask: KEY };
      await peer.sendFramesCut([frame], piece, { untilAnswered: true });
      await expectFailure(peer, [1002], WHY);
    });
  }
  maskedHeader(add);
}

/** Adds a case with only the header of a masked frame. */
function maskedHeader(add: AddCase<ClientAttempt>): void {
  add(
    'only the header of a masked message',
    async (attempt) => {
      const peer = await attempt.open();
      const bytes = peer.bytes({ opcode: BINARY, payload: pattern(1000), mask: KEY });
      await peer.send(bytes.subarray(0, 8), 'the header of a masked frame');
      await expectFailure(peer, [1002], WHY);
    },
    { level: 'advice', expects: 'the target fails the connection as soon as the header arrives' },
  );
}

/** Message types, each with its opcode and its payload. */
const TYPES = [
  ['text', TEXT, letters],
  ['binary', BINARY, pattern],
] as const;

function everyFrame(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: "the client's mask",
    section: 'RFC 6455, 5.1 and 5.3',
    expects: 'the client masks its answer',
  });
  for (const [name, opcode, make] of TYPES) {
    for (const size of [0, 1, 125, 126, 65_535, 65_536]) {
      add(`a ${name} message of ${bytesText(size)}`, async (attempt) => {
        const peer = await attempt.open();
        const { frames } = await echo(peer, opcode, make(size));
        if (frames.some(({ mask }) => mask === undefined))
          throw new Violation('the echo is not masked');
        await closeCleanly(peer);
      });
    }
  }
  controlFrames(add);
}

/** Adds cases about the masks of pongs and close frames. */
function controlFrames(add: AddCase<ClientAttempt>): void {
  for (const size of [0, 1, 4, 125]) {
    add(`a ping of ${bytesText(size)}`, async (attempt) => {
      const peer = await attempt.open();
      await ping(peer, pattern(size));
      expectKeyCount(peer.maskKeys, 1);
      await closeCleanly(peer);
    });
  }
  closeFrames(add);
}

/** Adds cases about the mask of a close frame. */
function closeFrames(add: AddCase<ClientAttempt>): void {
  for (const [title, payload] of [
    ['with 1000', closePayload(1000)],
    ['without a code', Buffer.alloc(0)],
  ] as const) {
    add(`a close frame ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload });
      await expectClosed(peer, undefined, { codes: 'any' });
      expectKeyCount(peer.maskKeys, 1);
    });
  }
}

function expectKeyCount(keys: readonly number[], count: number): void {
  if (keys.length !== count) throw new Violation(`${keys.length} of ${count} frames were masked`);
}

/** Number of messages in a case about keys. */
const SAMPLE_SIZE = 1024;

/** Returns the masking keys of {@link SAMPLE_SIZE} echoes or pongs. */
async function keysOf(
  attempt: ClientAttempt,
  payload: Uint8Array,
  opcode: number = BINARY,
): Promise<readonly number[]> {
  const peer = await attempt.open();
  await peer.sendFrames(...Array.from({ length: SAMPLE_SIZE }, () => ({ opcode, payload })));
  for (let left = SAMPLE_SIZE; left > 0; left--) {
    if (opcode === PING) await expectPong(peer, payload);
    else await expectMessage(peer, opcode, payload);
  }
  const keys = [...peer.maskKeys];
  await closeCleanly(peer);
  return keys;
}

const bytesOf = (key: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(key);
  return bytes;
};

const expectFewRepeats = (numbers: readonly number[], what: string): void => {
  const found = countRepeats(numbers);
  const most = maxRepeats(numbers.length);
  if (found <= most) return;
  throw new Violation(
    `${found} of ${numbers.length} ${what} occurred before, expected at most ${most}`,
  );
};

/**
 * Maximum count of one byte value. The mean is one in 256; chance hardly ever exceeds this maximum.
 */
const MAX_EQUAL_BYTES = SAMPLE_SIZE / 256 + 8 * Math.sqrt(SAMPLE_SIZE / 256) + 6;

function randomKeys(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.3 and 10.3',
    expects: 'each frame has a fresh key, unpredictable from earlier keys',
  });
  add('no key repeats in the echoes of the same message', async (attempt) => {
    expectFewRepeats(await keysOf(attempt, utf8('the same')), 'keys');
  });
  add('no key repeats in the echoes of text', async (attempt) => {
    expectFewRepeats(await keysOf(attempt, utf8('the same'), TEXT), 'keys');
  });
  add('no key repeats in the echoes of zeros', async (attempt) => {
    expectFewRepeats(await keysOf(attempt, Buffer.alloc(8)), 'keys');
  });
  add('no key repeats in the echoes of empty messages', async (attempt) => {
    expectFewRepeats(await keysOf(attempt, Buffer.alloc(0)), 'keys');
  });
  add('each bit of the keys is 1 in half of them', async (attempt) => {
    const [fault] = bitFaults((await keysOf(attempt, utf8('bits'))).map(bytesOf));
    if (fault !== undefined) throw new Violation(fault);
  });
  add('no byte of the keys has one value too often', async (attempt) => {
    const keys = (await keysOf(attempt, utf8('bytes'))).map(bytesOf);
    for (let at = 0; at < 4; at++) {
      const counts = new Uint32Array(256);
      for (const key of keys) counts[key[at]!]!++;
      const most = Math.max(...counts);
      if (most > MAX_EQUAL_BYTES) {
        throw new Violation(
          `byte ${at} is ${counts.indexOf(most)} in ${most} of ${SAMPLE_SIZE} keys`,
        );
      }
    }
  });
  keyRelations(add);
}

/** Adds cases about relations between the bytes of a key, between keys, and to the message. */
function keyRelations(add: AddCase<ClientAttempt>): void {
  add('no byte of the keys equals another byte too often', async (attempt) => {
    const keys = (await keysOf(attempt, utf8('pairs'))).map(bytesOf);
    for (const [a, b] of [
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 2],
      [1, 3],
      [2, 3],
    ] as const) {
      const alike = keys.filter((key) => key[a] === key[b]).length;
      if (alike > MAX_EQUAL_BYTES) {
        throw new Violation(`bytes ${a} and ${b} are equal in ${alike} of ${SAMPLE_SIZE} keys`);
      }
    }
  });
  add('the keys are not a counter', async (attempt) => {
    const keys = await keysOf(attempt, utf8('steps'));
    expectFewRepeats(
      keys.slice(1).map((key, at) => (key - keys[at]!) >>> 0),
      'steps from key to key',
    );
  });
  add('the keys are not one key combined with a pattern', async (attempt) => {
    const keys = await keysOf(attempt, utf8('steps'));
    expectFewRepeats(
      keys.slice(1).map((key, at) => (key ^ keys[at]!) >>> 0),
      'differences of keys',
    );
  });
  keyValues(add);
}

/** Adds cases about the order and the origin of the keys. */
function keyValues(add: AddCase<ClientAttempt>): void {
  add('the keys do not only grow', async (attempt) => {
    const keys = await keysOf(attempt, utf8('order'));
    const ups = keys.slice(1).filter((key, at) => key > keys[at]!).length;
    // Half of random numbers exceed the previous one, with a variance of n/12.
    if (Math.abs(ups - SAMPLE_SIZE / 2) > 6.5 * Math.sqrt(SAMPLE_SIZE / 12)) {
      throw new Violation(`${ups} of ${SAMPLE_SIZE} keys exceed the previous one`);
    }
  });
  add('no key is a copy of the message', async (attempt) => {
    const payload = utf8('made of this?');
    const keys = await keysOf(attempt, payload);
    const own = payload.readUInt32BE();
    const swapped = payload.readUInt32LE();
    const found = keys.filter((key) => key === own || key === swapped).length;
    if (found > 1) throw new Violation(`${found} keys equal the first bytes of the message`);
  });
  add('no key repeats in pongs', async (attempt) => {
    const peer = await attempt.open();
    // One ping at a time: the client may answer only the newest of several pings (5.5.3).
    for (let left = 200; left > 0; left--) await ping(peer, utf8('again'));
    const keys = [...peer.maskKeys];
    await closeCleanly(peer);
    expectKeyCount(keys, 200);
    expectFewRepeats(keys, 'keys');
  });
}

function keysOfTheRun(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.3 and 10.3',
    expects: 'the keys of a connection do not predict those of another',
  });
  add('no key of the run so far repeats', async (attempt) => {
    const peer = await attempt.open();
    await checkAlive(peer);
    await closeCleanly(peer);
    const keys = attempt.record.maskKeys.flat();
    expectFewRepeats(keys, 'keys');
    needsSamples(attempt, keys.length, 'masking keys');
  });
  add('no first key of a connection repeats', async (attempt) => {
    const peer = await attempt.open();
    await checkAlive(peer);
    await closeCleanly(peer);
    const firsts = attempt.record.maskKeys.flatMap(([first]) => first ?? []);
    expectFewRepeats(firsts, 'first keys');
    needsSamples(attempt, firsts.length, 'connections with masked frames');
  });
  add('the bits of the first keys so far are random', async (attempt) => {
    const peer = await attempt.open();
    await checkAlive(peer);
    await closeCleanly(peer);
    const firsts = attempt.record.maskKeys.flatMap(([first]) => first ?? []);
    const [fault] = bitFaults(firsts.map(bytesOf));
    if (fault !== undefined) throw new Violation(fault);
    needsSamples(attempt, firsts.length, 'connections with masked frames');
  });
  add('no connection starts with the last key of the previous one', async (attempt) => {
    const peer = await attempt.open();
    await checkAlive(peer);
    await closeCleanly(peer);
    const used = attempt.record.maskKeys.filter(({ length }) => length > 0);
    const again = used.slice(1).filter((keys, at) => keys[0] === used[at]!.at(-1)).length;
    if (again > 1)
      throw new Violation(
        `${again} of ${used.length} connections start with the last key of the previous one`,
      );
    needsSamples(attempt, used.length, 'connections with masked frames');
  });
}
