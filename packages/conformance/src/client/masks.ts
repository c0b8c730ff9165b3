import { Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  alive,
  closeCleanly,
  closePayload,
  echo,
  ping,
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
import { bitFaults, mostRepeats, repeats } from './randomness.ts';

/** Chapter 11 for clients: they mask every frame with a key of its own, and take no masked one. */
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
  expects: 'the connection is failed with 1002: a server must not mask',
};

function masked(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section(FAILED);
  const rows: readonly (readonly [string, FrameSpec])[] = [
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
  for (const [title, frame] of rows) {
    add(`a masked ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ ...frame, mask: KEY });
      await wantFailure(peer, [1002], WHY);
    });
  }
  for (const [title, key] of [
    ['zeros', Buffer.alloc(4)],
    ['ones', Buffer.alloc(4, 0xff)],
  ] as const) {
    add(`a text message masked with ${title} only`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: TEXT, payload: utf8('masked'), mask: key });
      await wantFailure(peer, [1002], WHY);
    });
  }
}

function maskedLater(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section(FAILED);
  add('a masked message after a plain one', async (attempt) => {
    const peer = await attempt.open();
    await alive(peer);
    await peer.sendFrames({ opcode: TEXT, payload: utf8('masked'), mask: KEY });
    await wantFailure(peer, [1002], WHY);
  });
  add('a masked message behind a plain one, in one segment', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: utf8('plain') },
      { opcode: TEXT, payload: utf8('masked'), mask: KEY },
    );
    await wantMessage(peer, TEXT, utf8('plain'));
    await wantFailure(peer, [1002], WHY);
  });
  add('a masked continuation of a plain fragment', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: utf8('plain'), fin: false },
      { opcode: CONTINUATION, payload: utf8('masked'), mask: KEY },
    );
    await wantFailure(peer, [1002], WHY);
  });
  add('a masked ping between plain fragments', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: utf8('plain'), fin: false },
      { opcode: PING, mask: KEY },
      { opcode: CONTINUATION, payload: utf8('plain') },
    );
    await wantFailure(peer, [1002], WHY);
  });
  add('a plain continuation of a masked fragment', async (attempt) => {
    const peer = await attempt.open();
    await peer.sendFrames(
      { opcode: TEXT, payload: utf8('masked'), fin: false, mask: KEY },
      { opcode: CONTINUATION, payload: utf8('plain') },
    );
    await wantFailure(peer, [1002], WHY);
  });
  for (const piece of [1, 3]) {
    add(`a masked message in segments of ${bytesWords(piece)}`, async (attempt) => {
      const peer = await attempt.open();
      const frame = { opcode: TEXT, payload: utf8('masked'), mask: KEY };
      await peer.sendFramesCut([frame], piece, { untilAnswered: true });
      await wantFailure(peer, [1002], WHY);
    });
  }
  add(
    'the header of a masked message, and no more',
    async (attempt) => {
      const peer = await attempt.open();
      const bytes = peer.bytes({ opcode: BINARY, payload: pattern(1000), mask: KEY });
      await peer.send(bytes.subarray(0, 8), 'the header of a masked frame');
      await wantFailure(peer, [1002], WHY);
    },
    { level: 'should', expects: 'the connection is failed as soon as the header tells' },
  );
}

function everyFrame(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.1 and 5.3',
    expects: 'the answer is masked',
  });
  for (const [name, opcode, make] of [
    ['text', TEXT, letters],
    ['binary', BINARY, pattern],
  ] as const) {
    for (const size of [0, 1, 125, 126, 65_535, 65_536]) {
      add(`a ${name} message of ${bytesWords(size)}`, async (attempt) => {
        const peer = await attempt.open();
        const { frames } = await echo(peer, opcode, make(size));
        if (frames.some(({ mask }) => mask === undefined)) throw new Violation('it is not masked');
        await closeCleanly(peer);
      });
    }
  }
  for (const size of [0, 1, 4, 125]) {
    add(`a ping of ${bytesWords(size)}`, async (attempt) => {
      const peer = await attempt.open();
      await ping(peer, pattern(size));
      wantKeys(peer.maskKeys, 1);
      await closeCleanly(peer);
    });
  }
  for (const [title, payload] of [
    ['with 1000', closePayload(1000)],
    ['without a code', Buffer.alloc(0)],
  ] as const) {
    add(`a close frame ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: CLOSE, payload });
      await wantClosed(peer, undefined, { codes: [1000, undefined] });
      wantKeys(peer.maskKeys, 1);
    });
  }
}

function wantKeys(keys: readonly number[], count: number): void {
  if (keys.length !== count) throw new Violation(`${keys.length} of ${count} frames were masked`);
}

/** Messages that a case about keys asks back. */
const SAMPLE = 1024;

/** The keys of so many echoes of a message. */
async function keysOf(
  attempt: ClientAttempt,
  payload: Uint8Array,
  opcode: number = BINARY,
): Promise<readonly number[]> {
  const peer = await attempt.open();
  await peer.sendFrames(...Array.from({ length: SAMPLE }, () => ({ opcode, payload })));
  for (let left = SAMPLE; left > 0; left--) {
    if (opcode === PING) await wantPong(peer, payload);
    else await wantMessage(peer, opcode, payload);
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

const wantFewRepeats = (numbers: readonly number[], what: string): void => {
  const found = repeats(numbers);
  const most = mostRepeats(numbers.length);
  if (found <= most) return;
  throw new Violation(
    `of ${numbers.length} ${what} ${found} were there before, where chance gives ${most} at most`,
  );
};

/** Of random numbers one in 256 has a given byte; more than so many hardly ever do. */
const MOST_ALIKE = SAMPLE / 256 + 8 * Math.sqrt(SAMPLE / 256) + 6;

function randomKeys(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.3 and 10.3',
    expects: 'each frame has a fresh key that cannot be told from those before',
  });
  add('no key comes again in the echoes of the same message', async (attempt) => {
    wantFewRepeats(await keysOf(attempt, utf8('the same')), 'keys');
  });
  add('no key comes again in the echoes of text', async (attempt) => {
    wantFewRepeats(await keysOf(attempt, utf8('the same'), TEXT), 'keys');
  });
  add('no key comes again in the echoes of zeros', async (attempt) => {
    wantFewRepeats(await keysOf(attempt, Buffer.alloc(8)), 'keys');
  });
  add('no key comes again in the echoes of empty messages', async (attempt) => {
    wantFewRepeats(await keysOf(attempt, Buffer.alloc(0)), 'keys');
  });
  add('each bit of the keys is 1 in half of them', async (attempt) => {
    const [fault] = bitFaults((await keysOf(attempt, utf8('bits'))).map(bytesOf));
    if (fault !== undefined) throw new Violation(fault);
  });
  add('no byte of the keys is one value too often', async (attempt) => {
    const keys = (await keysOf(attempt, utf8('bytes'))).map(bytesOf);
    for (let at = 0; at < 4; at++) {
      const counts = new Uint32Array(256);
      for (const key of keys) counts[key[at]!]!++;
      const most = Math.max(...counts);
      if (most > MOST_ALIKE) {
        throw new Violation(`byte ${at} is ${counts.indexOf(most)} in ${most} of ${SAMPLE} keys`);
      }
    }
  });
  add('no byte of the keys repeats another one', async (attempt) => {
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
      if (alike > MOST_ALIKE) {
        throw new Violation(`bytes ${a} and ${b} are equal in ${alike} of ${SAMPLE} keys`);
      }
    }
  });
  add('the keys are no counter', async (attempt) => {
    const keys = await keysOf(attempt, utf8('steps'));
    wantFewRepeats(
      keys.slice(1).map((key, at) => (key - keys[at]!) >>> 0),
      'steps from key to key',
    );
  });
  add('the keys are not one key with a pattern', async (attempt) => {
    const keys = await keysOf(attempt, utf8('steps'));
    wantFewRepeats(
      keys.slice(1).map((key, at) => (key ^ keys[at]!) >>> 0),
      'differences of keys',
    );
  });
  add('the keys do not only grow', async (attempt) => {
    const keys = await keysOf(attempt, utf8('order'));
    const ups = keys.slice(1).filter((key, at) => key > keys[at]!).length;
    // Of random numbers half are larger than the one before, with a variance of n/12.
    if (Math.abs(ups - SAMPLE / 2) > 6.5 * Math.sqrt(SAMPLE / 12)) {
      throw new Violation(`${ups} of ${SAMPLE} keys are larger than the one before`);
    }
  });
  add('no key is made of the message', async (attempt) => {
    const payload = utf8('made of this?');
    const keys = await keysOf(attempt, payload);
    const own = payload.readUInt32BE();
    const swapped = payload.readUInt32LE();
    const found = keys.filter((key) => key === own || key === swapped).length;
    if (found > 1) throw new Violation(`${found} keys are the message's first bytes`);
  });
  add('no key comes again in pongs', async (attempt) => {
    const peer = await attempt.open();
    // One after the other: of pings that pile up only the newest has to be answered (5.5.3).
    for (let left = 200; left > 0; left--) await ping(peer, utf8('again'));
    const keys = [...peer.maskKeys];
    await closeCleanly(peer);
    wantKeys(keys, 200);
    wantFewRepeats(keys, 'keys');
  });
}

function keysOfTheRun(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.3 and 10.3',
    expects: 'no connection can tell the keys of another',
  });
  add('no key of the run so far comes again', async (attempt) => {
    const peer = await attempt.open();
    await alive(peer);
    await closeCleanly(peer);
    wantFewRepeats(attempt.record.maskKeys.flat(), 'keys');
  });
  add('the first keys of the connections so far are different', async (attempt) => {
    const peer = await attempt.open();
    await alive(peer);
    await closeCleanly(peer);
    const firsts = attempt.record.maskKeys.flatMap(([first]) => first ?? []);
    wantFewRepeats(firsts, 'first keys');
  });
  add('the bits of the first keys so far are random', async (attempt) => {
    const peer = await attempt.open();
    await alive(peer);
    await closeCleanly(peer);
    const firsts = attempt.record.maskKeys.flatMap(([first]) => first ?? []);
    const [fault] = bitFaults(firsts.map(bytesOf));
    if (fault !== undefined) throw new Violation(fault);
  });
  add('no connection begins with the last key of the one before', async (attempt) => {
    const peer = await attempt.open();
    await alive(peer);
    await closeCleanly(peer);
    const used = attempt.record.maskKeys.filter(({ length }) => length > 0);
    const again = used.slice(1).filter((keys, at) => keys[0] === used[at]!.at(-1)).length;
    if (again > 1) throw new Violation(`${again} of ${used.length} connections do`);
  });
}
