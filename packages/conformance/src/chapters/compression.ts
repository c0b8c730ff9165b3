import { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import { BROKEN_PAYLOADS, PACKED_BINARIES, PACKED_MESSAGES } from '../tables/deflate-payloads.ts';
import { INVALID_TEXTS, VALID_TEXTS } from '../tables/utf8-texts.ts';
import { hex, letters, noise, utf8 } from '../wire/bytes.ts';
import {
  closeCleanly,
  closePayload,
  echo,
  eventWords,
  wantAll,
  wantFailure,
  wantMessage,
  wantMessageOrTooBig,
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

const SIZES = [0, 1, 16, 125, 126, 127, 1000, 4096, 32_768, 65_535, 65_536, 131_072];
/** What is no DEFLATE data may be told by either: RFC 7692 names no code. */
const BAD_DATA = [1007, 1002];

/** Chapter 12: messages compressed with permessage-deflate, for both roles. */
export function compression<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(12);
  sizes(chapter);
  forms(chapter);
  history(chapter);
  plain(chapter);
  inFragments(chapter);
  bits(chapter);
  broken(chapter);
  texts(chapter);
  large(chapter);
  inPieces(chapter);
  return chapter;
}

/** A message, compressed by the terms of the connection, in one frame. */
function packed(peer: Peer, opcode: number, payload: Uint8Array): FrameSpec {
  return { opcode, payload: peer.compressor.compress(payload), rsv: RSV1 };
}

function sizes(chapter: Chapter<TargetAttempt>): void {
  for (const takeover of [true, false]) {
    for (const [opcode, name, make] of [
      [TEXT, 'text', letters],
      [BINARY, 'noise', noise],
    ] as const) {
      const add = chapter.section({
        section: takeover ? 'RFC 7692, 6 and 7.2' : 'RFC 7692, 7.1.1 and 7.2',
        expects: 'each message comes back, compressed or not',
      });
      for (const size of SIZES) {
        const how = takeover ? 'with what went before' : 'each on its own';
        add(
          `three compressed messages of ${bytesWords(size)} of ${name}, ${how}`,
          async (attempt) => {
            const peer = await attempt.openDeflate({ takeover });
            for (let time = 0; time < 3; time++) {
              await peer.sendFrames(packed(peer, opcode, make(size)));
              await wantMessage(peer, opcode, make(size));
            }
            await closeCleanly(peer);
          },
        );
      }
    }
  }
}

function forms(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, messages] of [
    [TEXT, PACKED_MESSAGES],
    [BINARY, PACKED_BINARIES],
  ] as const) {
    const add = chapter.section({
      section: 'RFC 7692, 7.2.2 and 7.2.3',
      expects: 'what it stands for comes back',
    });
    for (const { says, packed, plain } of messages) {
      add(`a compressed message: ${says}`, async (attempt) => {
        const peer = await attempt.openDeflate({ takeover: false });
        await peer.sendFrames({ opcode, payload: packed, rsv: RSV1 });
        await wantMessage(peer, opcode, plain);
        await echo(peer, TEXT, utf8('and one that is not compressed'));
        await closeCleanly(peer);
      });
    }
  }
}

function history(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.2.3.2',
    expects: 'each message comes back',
  });
  /** Hello, and then the same by one match that reaches back into it. */
  const HELLO = hex('f2 48 cd c9 c9 07 00');
  const AGAIN = hex('f2 00 11 00 00');
  const withHistory = async (attempt: TargetAttempt): Promise<Peer> => {
    const peer = await attempt.openDeflate();
    const { clientNoContextTakeover, serverNoContextTakeover } = peer.deflate!;
    const forgets = peer.role === 'client' ? clientNoContextTakeover : serverNoContextTakeover;
    if (forgets) attempt.skip('the target wants each message compressed on its own');
    return peer;
  };
  add('a message that reaches back into the one before', async (attempt) => {
    const peer = await withHistory(attempt);
    for (const payload of [HELLO, AGAIN, AGAIN]) {
      await peer.sendFrames({ opcode: TEXT, payload, rsv: RSV1 });
      await wantMessage(peer, TEXT, utf8('Hello'));
    }
    await closeCleanly(peer);
  });
  add('a message that reaches back over one that is not compressed', async (attempt) => {
    const peer = await withHistory(attempt);
    await peer.sendFrames({ opcode: TEXT, payload: HELLO, rsv: RSV1 });
    await wantMessage(peer, TEXT, utf8('Hello'));
    await echo(peer, TEXT, utf8('plain'));
    await peer.sendFrames({ opcode: TEXT, payload: AGAIN, rsv: RSV1 });
    await wantMessage(peer, TEXT, utf8('Hello'));
    await closeCleanly(peer);
  });
  add('a message that reaches back over an empty one', async (attempt) => {
    const peer = await withHistory(attempt);
    await peer.sendFrames(
      { opcode: TEXT, payload: HELLO, rsv: RSV1 },
      { opcode: TEXT, payload: hex('00'), rsv: RSV1 },
    );
    await peer.sendFrames({ opcode: TEXT, payload: AGAIN, rsv: RSV1 });
    await wantAll(
      peer,
      ['Hello', '', 'Hello'].map((text) => ({ opcode: TEXT, payload: utf8(text) })),
    );
    await closeCleanly(peer);
  });
  add('a message that reaches back from binary into text', async (attempt) => {
    const peer = await withHistory(attempt);
    await peer.sendFrames(
      { opcode: TEXT, payload: HELLO, rsv: RSV1 },
      { opcode: BINARY, payload: AGAIN, rsv: RSV1 },
    );
    await wantMessage(peer, TEXT, utf8('Hello'));
    await wantMessage(peer, BINARY, utf8('Hello'));
    await closeCleanly(peer);
  });
  add(
    'a message that reaches back behind a final block',
    async (attempt) => {
      const peer = await withHistory(attempt);
      await peer.sendFrames({ opcode: TEXT, payload: hex('f3 48 cd c9 c9 07 00 00'), rsv: RSV1 });
      await wantMessage(peer, TEXT, utf8('Hello'));
      await wantRightOrNone(peer, AGAIN);
    },
    { expects: NEVER_OTHERS, section: 'RFC 7692, 7.2.3.2 and 7.2.3.4' },
  );
  add('thirty messages that share a window', async (attempt) => {
    const peer = await withHistory(attempt);
    for (let at = 0; at < 30; at++) {
      const payload = utf8(`message ${at}: ${letters(1500).toString()}`);
      await peer.sendFrames(packed(peer, TEXT, payload));
      await wantMessage(peer, TEXT, payload);
    }
    await closeCleanly(peer);
  });
  add(
    'a message that reaches back, where each was agreed to stand on its own',
    async (attempt) => {
      const peer = await attempt.openDeflate({ takeover: false });
      await peer.sendFrames({ opcode: TEXT, payload: HELLO, rsv: RSV1 });
      await wantMessage(peer, TEXT, utf8('Hello'));
      await wantRightOrNone(peer, AGAIN);
    },
    { section: 'RFC 7692, 7.1.1', expects: NEVER_OTHERS },
  );
}

const NEVER_OTHERS = 'the right bytes come back, or the connection is failed; never others';

/** Who has kept the window gets it right; who has not must notice. */
async function wantRightOrNone(peer: Peer, payload: Buffer): Promise<void> {
  await peer.sendFrames({ opcode: TEXT, payload, rsv: RSV1 });
  const event = await peer.next('the message, or a failed connection');
  if (event.kind === 'message' && event.payload.toString() !== 'Hello') {
    peer.attempt.fail(`${eventWords(event)} came back, with bytes that were never sent`);
  }
}

function plain(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 6',
    expects: 'each message comes back: RSV1 tells which are compressed',
  });
  for (const [opcode, make] of [
    [TEXT, letters],
    [BINARY, noise],
  ] as const) {
    for (const size of [0, 5, 1000, 65_536]) {
      add(
        `a ${opcodeName(opcode)} message of ${bytesWords(size)} that is not compressed`,
        async (attempt) => {
          const peer = await attempt.openDeflate();
          await echo(peer, opcode, make(size));
          await closeCleanly(peer);
        },
      );
    }
  }
  add('compressed and plain messages by turns', async (attempt) => {
    const peer = await attempt.openDeflate();
    for (let at = 0; at < 10; at++) {
      const payload = letters(100 * at);
      await peer.sendFrames(at % 2 === 0 ? packed(peer, TEXT, payload) : { opcode: TEXT, payload });
      await wantMessage(peer, TEXT, payload);
    }
    await closeCleanly(peer);
  });
  add(
    'a plain message in fragments between two compressed ones, in one segment',
    async (attempt) => {
      const peer = await attempt.openDeflate();
      const text = letters(300);
      await peer.sendFrames(
        packed(peer, TEXT, text),
        ...fragments(TEXT, text, [100, 200]),
        packed(peer, TEXT, text),
      );
      await wantAll(
        peer,
        [1, 2, 3].map(() => ({ opcode: TEXT, payload: text })),
      );
      await closeCleanly(peer);
    },
  );
}

/** The fragments of a compressed message: RSV1 stands on the first. */
function packedFragments(
  peer: Peer,
  opcode: number,
  payload: Uint8Array,
  sizesOf: (length: number) => readonly number[],
): FrameSpec[] {
  const bytes = peer.compressor.compress(payload);
  return fragments(opcode, bytes, sizesOf(bytes.length)).map((frame, at) =>
    at === 0 ? { ...frame, rsv: RSV1 } : frame,
  );
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

function broken(chapter: Chapter<TargetAttempt>): void {
  for (const fragmented of [false, true]) {
    const add = chapter.section({
      section: 'RFC 7692, 6.2 and 7.2.2',
      expects: 'the connection is failed: this is no DEFLATE data',
    });
    for (const [says, payload] of BROKEN_PAYLOADS) {
      add(`${says}${fragmented ? ', in two fragments' : ''}`, async (attempt) => {
        const peer = await attempt.openDeflate({ takeover: false });
        const sizes = fragmented ? [1, payload.length - 1] : [payload.length];
        const [first, ...rest] = fragments(BINARY, payload, sizes);
        await peer.sendFrames({ ...first!, rsv: RSV1 }, ...rest);
        await wantFailure(peer, BAD_DATA, 'this is no DEFLATE data');
      });
    }
  }
}

function texts(chapter: Chapter<TargetAttempt>): void {
  const good = chapter.section({ section: 'RFC 6455, 5.6', expects: 'the same text comes back' });
  for (const { says, bytes } of VALID_TEXTS.slice(-8)) {
    good(`a compressed text: ${says}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames(packed(peer, TEXT, bytes));
      await wantMessage(peer, TEXT, bytes);
      await closeCleanly(peer);
    });
  }
  const bad = chapter.section({
    section: 'RFC 6455, 8.1; RFC 7692, 6.2',
    expects: 'the connection is failed with 1007: the inflated text is not UTF-8',
  });
  for (const { says, bytes } of INVALID_TEXTS.filter((_, at) => at % 4 === 0)) {
    bad(`a compressed text with ${says}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames(packed(peer, TEXT, Buffer.concat([letters(200), bytes])));
      await wantFailure(peer, [1007], 'the text is not UTF-8');
    });
  }
  bad(
    'what is no text, in a compressed binary message',
    async (attempt) => {
      const peer = await attempt.openDeflate();
      const bytes = Buffer.concat(INVALID_TEXTS.map((text) => text.bytes));
      await peer.sendFrames(packed(peer, BINARY, bytes));
      await wantMessage(peer, BINARY, bytes);
      await closeCleanly(peer);
    },
    { section: 'RFC 6455, 5.6', expects: 'the same bytes come back' },
  );
}

function large(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 8; RFC 6455, 7.4.1',
    expects: 'the message comes back, or 1009 says that it is too large',
  });
  for (const [name, make] of [
    ['zeros', (size: number) => Buffer.alloc(size)],
    ['text', letters],
    ['noise', noise],
  ] as const) {
    for (const size of [512 * 1024, 1024 * 1024, 2 * 1024 * 1024]) {
      add(`a compressed message of ${bytesWords(size)} of ${name}`, async (attempt) => {
        const peer = await attempt.openDeflate();
        await peer.sendFrames(packed(peer, BINARY, make(size)));
        await wantMessageOrTooBig(peer, BINARY, make(size));
      });
    }
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
