import type { TargetAttempt } from '../attempts/target-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { letters, noise, utf8 } from '../wire/bytes.ts';
import {
  closeCleanly,
  closePayload,
  expectAll,
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
  opcodeName,
  PING,
  PONG,
  RSV1,
  RSV2,
  RSV3,
  TEXT,
} from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { compressedFragments, compressedFrame } from './compressed.ts';
import { fragments } from './fragments.ts';

/**
 * Adds sections about the frames of compressed messages: fragments, misplaced RSV bits, segments.
 */
export function compressedFrames(chapter: Chapter<TargetAttempt>): void {
  inFragments(chapter);
  bits(chapter);
  inPieces(chapter);
}

const SPLITS: readonly (readonly [string, (length: number) => readonly number[]])[] = [
  ['two fragments', (length) => [length >> 1, length - (length >> 1)]],
  ['three fragments', (length) => [5, 7, length - 12]],
  ['fragments of one byte', (length) => Array.from({ length }, () => 1)],
  ['an empty first fragment', (length) => [0, length]],
  ['an empty last fragment', (length) => [length, 0]],
  ['an empty fragment in the middle', (length) => [6, 0, length - 6]],
];

function inFragments(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 6.1',
    expects: 'the whole message comes back',
  });
  for (const [opcode, make] of [
    [TEXT, letters],
    [BINARY, noise],
  ] as const) {
    for (const [title, sizesOf] of SPLITS) {
      add(`a compressed ${opcodeName(opcode)} message in ${title}`, async (attempt) => {
        const peer = await attempt.openDeflate();
        await peer.sendFrames(...compressedFragments(peer, opcode, make(500), sizesOf));
        await expectMessage(peer, opcode, make(500));
        await closeCleanly(peer);
      });
    }
    add(
      `a compressed ${opcodeName(opcode)} message in ten fragments, with a ping after each`,
      async (attempt) => {
        const peer = await attempt.openDeflate();
        const frames = compressedFragments(peer, opcode, make(3000), (length) => [
          ...Array.from({ length: 9 }, () => 2),
          length - 18,
        ]);
        await peer.sendFrames(
          ...frames.flatMap((frame, at) => [frame, { opcode: PING, payload: utf8(`${at}`) }]),
        );
        await expectAll(peer, [{ opcode, payload: make(3000) }], utf8('9'));
        await closeCleanly(peer);
      },
    );
    add(
      `a compressed ${opcodeName(opcode)} message whose second half follows a pong`,
      async (attempt) => {
        const peer = await attempt.openDeflate();
        const [head, tail] = compressedFragments(peer, opcode, make(3000), (length) => [
          10,
          length - 10,
        ]);
        await peer.sendFrames(head!, { opcode: PING, payload: utf8('now') });
        await expectPong(peer, utf8('now'));
        await peer.sendFrames(tail!);
        await expectMessage(peer, opcode, make(3000));
        await closeCleanly(peer);
      },
    );
  }
}

const text = letters(50);

/** Frames with reserved bits in places that RFC 7692 does not allow. */
const BAD_BITS: readonly (readonly [string, (peer: Peer) => readonly FrameSpec[]])[] = [
  ['RSV1 on a ping', () => [{ opcode: PING, payload: utf8('x'), rsv: RSV1 }]],
  ['RSV1 on a pong', () => [{ opcode: PONG, payload: utf8('x'), rsv: RSV1 }]],
  ['RSV1 on a close frame', () => [{ opcode: CLOSE, payload: closePayload(1000), rsv: RSV1 }]],
  [
    'RSV1 on a ping between compressed fragments',
    (peer) => {
      const [head, tail] = compressedFragments(peer, TEXT, text, (length) => [5, length - 5]);
      return [head!, { opcode: PING, rsv: RSV1 }, tail!];
    },
  ],
  [
    'RSV1 on the first and the last fragment',
    (peer) =>
      compressedFragments(peer, TEXT, text, (length) => [5, length - 5]).map((frame) => ({
        ...frame,
        rsv: RSV1,
      })),
  ],
  [
    'RSV1 only on the last fragment',
    (peer) =>
      compressedFragments(peer, TEXT, text, (length) => [5, length - 5]).map((frame, at) => ({
        ...frame,
        rsv: at === 0 ? 0 : RSV1,
      })),
  ],
  [
    'RSV1 on a fragment in the middle of a plain message',
    () =>
      fragments(TEXT, text, [10, 20, 20]).map((frame, at) => ({
        ...frame,
        rsv: at === 1 ? RSV1 : 0,
      })),
  ],
  [
    'RSV1 on an empty last fragment',
    (peer) =>
      compressedFragments(peer, TEXT, text, (length) => [length, 0]).map((frame) => ({
        ...frame,
        rsv: RSV1,
      })),
  ],
  ['RSV2 on a plain text', () => [{ opcode: TEXT, payload: text, rsv: RSV2 }]],
  ['RSV3 on a plain text', () => [{ opcode: TEXT, payload: text, rsv: RSV3 }]],
  [
    'RSV1 and RSV2 on a compressed text',
    (peer) => [{ ...compressedFrame(peer, TEXT, text), rsv: RSV1 | RSV2 }],
  ],
  [
    'RSV1 and RSV3 on a compressed text',
    (peer) => [{ ...compressedFrame(peer, TEXT, text), rsv: RSV1 | RSV3 }],
  ],
  [
    'all three bits on a compressed binary',
    (peer) => [{ ...compressedFrame(peer, BINARY, text), rsv: 7 }],
  ],
  ['RSV1 on a reserved opcode', () => [{ opcode: 3, payload: text, rsv: RSV1 }]],
  [
    'RSV1 on a continuation frame without a message',
    () => [{ opcode: CONTINUATION, payload: text, rsv: RSV1 }],
  ],
];

function bits(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    title: 'with compression',
    section: 'RFC 7692, 6.1; RFC 6455, 5.2',
    expects: 'the target fails the connection with 1002',
  });
  for (const [title, make] of BAD_BITS) {
    add(title, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames(...make(peer));
      await expectFailure(peer, [1002], title);
    });
  }
}

function inPieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 6; RFC 6455, 5.2',
    expects: 'all messages come back',
  });
  for (const size of [1, 2, 5, 16, 100]) {
    add(`compressed and plain frames in segments of ${bytesText(size)}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      const text = letters(400);
      const frames = [
        compressedFrame(peer, TEXT, text),
        { opcode: BINARY, payload: noise(60) },
        ...compressedFragments(peer, TEXT, text, (length) => [4, length - 4]),
        compressedFrame(peer, BINARY, noise(300)),
      ];
      await peer.sendFramesCut(frames, size);
      await expectAll(peer, [
        { opcode: TEXT, payload: text },
        { opcode: BINARY, payload: noise(60) },
        { opcode: TEXT, payload: text },
        { opcode: BINARY, payload: noise(300) },
      ]);
      await closeCleanly(peer);
    });
  }
  add('twenty compressed messages in one segment', async (attempt) => {
    const peer = await attempt.openDeflate();
    const messages = Array.from({ length: 20 }, (_, at) => ({
      opcode: TEXT,
      payload: letters(at * 100),
    }));
    await peer.sendFrames(...messages.map(({ payload }) => compressedFrame(peer, TEXT, payload)));
    await expectAll(peer, messages);
    await closeCleanly(peer);
  });
  add('an empty first fragment with RSV1, then a ping without, then the rest', async (attempt) => {
    const peer = await attempt.openDeflate();
    const text = letters(400);
    const [first, ...rest] = compressedFragments(peer, TEXT, text, (length) => [0, length]);
    const ping = { opcode: PING, payload: utf8('between') };
    await peer.sendFrames(first!, ping, ...rest);
    await expectAll(peer, [{ opcode: TEXT, payload: text }], ping.payload);
    await closeCleanly(peer);
  });
}
