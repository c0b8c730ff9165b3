import type { ServerAttempt } from '../attempts/server-attempt.ts';
import { addEchoes } from '../chapters/rows.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { hex, letters, pattern, utf8 } from '../wire/bytes.ts';
import {
  closeCleanly,
  closePayload,
  expectAll,
  expectFailure,
  expectMessage,
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

/** Creates chapter 11 for servers: masks of the client's frames. */
export function masks(): Chapter<ServerAttempt> {
  const chapter = new Chapter<ServerAttempt>(11);
  unmasked(chapter);
  keys(chapter);
  lengths(chapter);
  changing(chapter);
  longPhases(chapter);
  return chapter;
}

const UNMASKED_PAYLOAD = utf8('unmasked');

const WHOLE = { opcode: TEXT, payload: utf8('a masked one') };

const START = { opcode: TEXT, payload: utf8('begun '), fin: false };

/** Unmasked frames, after the frames that precede each. */
const UNMASKED: readonly (readonly [string, readonly FrameSpec[], FrameSpec])[] = [
  ['a text frame', [], { opcode: TEXT, payload: UNMASKED_PAYLOAD }],
  ['an empty text frame', [], { opcode: TEXT }],
  ['a binary frame', [], { opcode: BINARY, payload: UNMASKED_PAYLOAD }],
  ['an empty binary frame', [], { opcode: BINARY }],
  ['a text frame of 126 bytes', [], { opcode: TEXT, payload: letters(126) }],
  ['a binary frame of 65,536 bytes', [], { opcode: BINARY, payload: pattern(65_536) }],
  ['a first fragment', [], { opcode: TEXT, payload: UNMASKED_PAYLOAD, fin: false }],
  ['a last fragment', [START], { opcode: CONTINUATION, payload: UNMASKED_PAYLOAD }],
  ['an empty last fragment', [START], { opcode: CONTINUATION }],
  ['a ping', [], { opcode: PING, payload: UNMASKED_PAYLOAD }],
  ['an empty ping', [], { opcode: PING }],
  ['a pong', [], { opcode: PONG, payload: UNMASKED_PAYLOAD }],
  ['a close frame', [], { opcode: CLOSE, payload: closePayload(1000) }],
  ['an empty close frame', [], { opcode: CLOSE }],
  ['a ping between fragments', [START], { opcode: PING, payload: UNMASKED_PAYLOAD }],
  ['a text frame after a masked one', [WHOLE], { opcode: TEXT, payload: UNMASKED_PAYLOAD }],
];

function unmasked(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.1',
    expects: 'the target fails the connection, preferably with 1002: a client must mask',
  });
  for (const [title, before, frame] of UNMASKED) {
    add(`${title} without a mask`, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...before, { ...frame, mask: false });
      await expectFailure(peer, [1002], 'a client must mask', { after: [WHOLE] });
    });
  }
}

const KEYS = [
  '00000000',
  'ffffffff',
  '00000001',
  '01000000',
  '80000000',
  '00ff00ff',
  '7f7f7f7f',
  '37fa213d',
  '01020304',
  'deadbeef',
  '61626364',
];

/** Messages to mask with each key. */
const KEYED_MESSAGES = [
  [TEXT, letters(37)],
  [BINARY, pattern(259)],
] as const;

function keys(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 5.3', expects: 'the same message comes back' });
  for (const key of KEYS) {
    for (const [opcode, payload] of KEYED_MESSAGES) {
      add(
        `the key ${key} on a ${opcodeName(opcode)} frame of ${bytesText(payload.length)}`,
        async (attempt) => {
          const peer = await attempt.open();
          await peer.sendFrames({ opcode, payload, mask: hex(key) });
          await expectMessage(peer, opcode, payload);
          await closeCleanly(peer);
        },
      );
    }
  }
  payloadOfKeys(add);
}

/** Adds a payload whose masked bytes are zeros. */
function payloadOfKeys(add: AddCase<ServerAttempt>): void {
  add('a payload that repeats its key: zeros on the wire', async (attempt) => {
    const peer = await attempt.open();
    const payload = utf8('abcd'.repeat(20));
    await peer.sendFrames({ opcode: TEXT, payload, mask: utf8('abcd') });
    await expectMessage(peer, TEXT, payload);
    await closeCleanly(peer);
  });
}

function lengths(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 5.3', expects: 'the same message comes back' });
  for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65]) {
    add(
      `${bytesText(size)} with the key 01020304, after a frame of odd length`,
      async (attempt) => {
        const peer = await attempt.open();
        const frames = [
          { opcode: BINARY, payload: pattern(3), mask: hex('0a0b0c0d') },
          { opcode: BINARY, payload: pattern(size), mask: hex('01020304') },
        ];
        await peer.sendFrames(...frames);
        await expectAll(peer, frames);
        await closeCleanly(peer);
      },
    );
  }
}

function changing(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 5.3', expects: 'all messages come back' });
  add('a different key for each of 50 frames', async (attempt) => {
    const peer = await attempt.open();
    const frames = Array.from({ length: 50 }, (_, at) => ({
      opcode: BINARY,
      payload: pattern(at),
      mask: Buffer.from([at, 255 - at, at * 3, at * 7]),
    }));
    await peer.sendFrames(...frames);
    await expectAll(peer, frames);
    await closeCleanly(peer);
  });
  add('the same key for each of 50 frames', async (attempt) => {
    const peer = await attempt.open();
    const frames = Array.from({ length: 50 }, (_, at) => ({
      opcode: BINARY,
      payload: pattern(at),
      mask: hex('12345678'),
    }));
    await peer.sendFrames(...frames);
    await expectAll(peer, frames);
    await closeCleanly(peer);
  });
  keysOfFragments(add);
}

/** Adds cases with a key for each fragment, and with segments that cut a key. */
function keysOfFragments(add: AddCase<ServerAttempt>): void {
  add('a different key for each fragment of a message', async (attempt) => {
    const peer = await attempt.open();
    const parts = [pattern(5), pattern(7), pattern(1), pattern(0), pattern(9)];
    await peer.sendFrames(
      ...parts.map((payload, at) => ({
        opcode: at === 0 ? BINARY : CONTINUATION,
        payload,
        fin: at === parts.length - 1,
        mask: Buffer.from([at, at + 1, at + 2, at + 3]),
      })),
    );
    await expectMessage(peer, BINARY, Buffer.concat(parts));
    await closeCleanly(peer);
  });
  keyPhases(add);
}

/** Adds frames in segments that cut the key at every phase. */
function keyPhases(add: AddCase<ServerAttempt>): void {
  for (const size of [1, 2, 3, 5]) {
    add(
      `a frame of 30 bytes in segments of ${bytesText(size)}, which cut the key at every phase`,
      async (attempt) => {
        const peer = await attempt.open();
        await peer.sendFramesCut(
          [{ opcode: BINARY, payload: pattern(30), mask: hex('01020304') }],
          size,
        );
        await expectMessage(peer, BINARY, pattern(30));
        await closeCleanly(peer);
      },
    );
  }
}

function longPhases(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 5.3', expects: 'the same message comes back' });
  for (const size of [16_381, 16_382, 16_383, 16_384, 65_537]) {
    addEchoes(add, [
      {
        title: `a message of 200,003 bytes in segments of ${bytesText(size)}`,
        send: () => [{ opcode: BINARY, payload: pattern(200_003), mask: hex('37fa213d') }],
        cut: size,
      },
    ]);
  }
  // A segment begins at every phase of the key and, after the first message, at every alignment.
  addEchoes(
    add,
    [0, 1, 2, 3, 4, 5, 6, 7].map((size) => ({
      title: `a message of 65,539 bytes after one of ${bytesText(size)}, in segments of 8191 bytes`,
      send: () => [
        { opcode: BINARY, payload: pattern(size) },
        { opcode: BINARY, payload: pattern(65_539), mask: hex('37fa213d') },
      ],
      cut: 8191,
    })),
  );
}
