import type { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import { letters, noise, utf8 } from '../wire/bytes.ts';
import {
  closeCleanly,
  closePayload,
  wantAll,
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
  opcodeName,
  PING,
  PONG,
  RSV1,
  RSV2,
  RSV3,
  TEXT,
} from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { fragments } from './fragmentation.ts';
import { packed, packedFragments } from './packed.ts';

/** Sections of compressed messages in several frames, RSV1 where it must not be, and segments. */
export function packedFrames(chapter: Chapter<TargetAttempt>): void {
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
        await peer.sendFrames(...packedFragments(peer, opcode, make(500), sizesOf));
        await wantMessage(peer, opcode, make(500));
        await closeCleanly(peer);
      });
    }
    add(
      `a compressed ${opcodeName(opcode)} message in ten fragments, with a ping after each`,
      async (attempt) => {
        const peer = await attempt.openDeflate();
        const frames = packedFragments(peer, opcode, make(3000), (length) => [
          ...Array.from({ length: 9 }, () => 2),
          length - 18,
        ]);
        await peer.sendFrames(
          ...frames.flatMap((frame, at) => [frame, { opcode: PING, payload: utf8(`${at}`) }]),
        );
        await wantAll(peer, [{ opcode, payload: make(3000) }], utf8('9'));
        await closeCleanly(peer);
      },
    );
    add(
      `a compressed ${opcodeName(opcode)} message whose second half waits for a pong`,
      async (attempt) => {
        const peer = await attempt.openDeflate();
        const [head, tail] = packedFragments(peer, opcode, make(3000), (length) => [
          10,
          length - 10,
        ]);
        await peer.sendFrames(head!, { opcode: PING, payload: utf8('now') });
        await wantPong(peer, utf8('now'));
        await peer.sendFrames(tail!);
        await wantMessage(peer, opcode, make(3000));
        await closeCleanly(peer);
      },
    );
  }
}

function bits(chapter: Chapter<TargetAttempt>): void {
  const text = letters(50);
  const add = chapter.section({
    section: 'RFC 7692, 6.1; RFC 6455, 5.2',
    expects: 'the connection is failed with 1002',
  });
  const frames: readonly (readonly [string, (peer: Peer) => readonly FrameSpec[]])[] = [
    ['RSV1 on a ping', () => [{ opcode: PING, payload: utf8('x'), rsv: RSV1 }]],
    ['RSV1 on a pong', () => [{ opcode: PONG, payload: utf8('x'), rsv: RSV1 }]],
    ['RSV1 on a close frame', () => [{ opcode: CLOSE, payload: closePayload(1000), rsv: RSV1 }]],
    [
      'RSV1 on a ping between compressed fragments',
      (peer) => {
        const [head, tail] = packedFragments(peer, TEXT, text, (length) => [5, length - 5]);
        return [head!, { opcode: PING, rsv: RSV1 }, tail!];
      },
    ],
    [
      'RSV1 on the last fragment too',
      (peer) =>
        packedFragments(peer, TEXT, text, (length) => [5, length - 5]).map((frame) => ({
          ...frame,
          rsv: RSV1,
        })),
    ],
    [
      'RSV1 on the last fragment alone',
      (peer) =>
        packedFragments(peer, TEXT, text, (length) => [5, length - 5]).map((frame, at) => ({
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
        packedFragments(peer, TEXT, text, (length) => [length, 0]).map((frame) => ({
          ...frame,
          rsv: RSV1,
        })),
    ],
    ['RSV2 on a plain text', () => [{ opcode: TEXT, payload: text, rsv: RSV2 }]],
    ['RSV3 on a plain text', () => [{ opcode: TEXT, payload: text, rsv: RSV3 }]],
    [
      'RSV1 and RSV2 on a compressed text',
      (peer) => [{ ...packed(peer, TEXT, text), rsv: RSV1 | RSV2 }],
    ],
    [
      'RSV1 and RSV3 on a compressed text',
      (peer) => [{ ...packed(peer, TEXT, text), rsv: RSV1 | RSV3 }],
    ],
    [
      'all three bits on a compressed binary',
      (peer) => [{ ...packed(peer, BINARY, text), rsv: 7 }],
    ],
    ['RSV1 on a reserved opcode', () => [{ opcode: 3, payload: text, rsv: RSV1 }]],
    [
      'RSV1 on a continuation frame that continues nothing',
      () => [{ opcode: CONTINUATION, payload: text, rsv: RSV1 }],
    ],
  ];
  for (const [title, make] of frames) {
    add(title, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames(...make(peer));
      await wantFailure(peer, [1002], title);
    });
  }
}

function inPieces(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 6; RFC 6455, 5.2',
    expects: 'all messages come back',
  });
  for (const size of [1, 2, 5, 16, 100]) {
    add(`compressed and plain frames in segments of ${bytesWords(size)}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      const text = letters(400);
      const frames = [
        packed(peer, TEXT, text),
        { opcode: BINARY, payload: noise(60) },
        ...packedFragments(peer, TEXT, text, (length) => [4, length - 4]),
        packed(peer, BINARY, noise(300)),
      ];
      await peer.sendFramesCut(frames, size);
      await wantAll(peer, [
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
    await peer.sendFrames(...messages.map(({ payload }) => packed(peer, TEXT, payload)));
    await wantAll(peer, messages);
    await closeCleanly(peer);
  });
}
