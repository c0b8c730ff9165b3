import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { COMPRESSED_BINARIES, COMPRESSED_MESSAGES } from '../tables/deflate-payloads.ts';
import { hex, letters, noise, utf8 } from '../wire/bytes.ts';
import { closeCleanly, echo, expectAll, expectMessage } from '../wire/expect.ts';
import { BINARY, bytesText, opcodeName, RSV1, TEXT } from '../wire/frame.ts';
import { compressedFrame, expectSameOrFailure, openWithHistory } from './compressed.ts';
import { compressedAbuse } from './compressed-abuse.ts';
import { compressedContents } from './compressed-contents.ts';
import { compressedConversations } from './compressed-conversations.ts';
import { compressedData, compressedThousands } from './compressed-data.ts';
import { compressedFrames } from './compressed-frames.ts';
import { fragments } from './fragments.ts';

const SIZES = [0, 1, 16, 125, 126, 127, 1000, 4096, 32_768, 65_535, 65_536, 131_072];

/** Creates chapter 12: messages compressed with permessage-deflate, for both roles. */
export function compression<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(12);
  sizes(chapter);
  forms(chapter);
  history(chapter);
  plain(chapter);
  compressedFrames(chapter);
  compressedContents(chapter);
  compressedData(chapter);
  compressedAbuse(chapter);
  compressedConversations(chapter);
  compressedThousands(chapter);
  return chapter;
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
        const how = takeover ? 'with context takeover' : 'without context takeover';
        add(
          `three compressed messages of ${bytesText(size)} of ${name}, ${how}`,
          async (attempt) => {
            const peer = await attempt.openDeflate({ takeover });
            for (let time = 0; time < 3; time++) {
              await peer.sendFrames(compressedFrame(peer, opcode, make(size)));
              await expectMessage(peer, opcode, make(size));
            }
            await closeCleanly(peer);
          },
        );
      }
    }
  }
}

/** Compressed messages by type. */
const FORMS = [
  [TEXT, COMPRESSED_MESSAGES],
  [BINARY, COMPRESSED_BINARIES],
] as const;

function forms(chapter: Chapter<TargetAttempt>): void {
  for (const [opcode, messages] of FORMS) {
    const add = chapter.section({
      section: 'RFC 7692, 7.2.2 and 7.2.3',
      expects: 'the inflated message comes back',
    });
    for (const { title, compressed, plain } of messages) {
      add(`a compressed message: ${title}`, async (attempt) => {
        const peer = await attempt.openDeflate();
        await peer.sendFrames({ opcode, payload: compressed, rsv: RSV1 });
        await expectMessage(peer, opcode, plain);
        await echo(peer, TEXT, utf8('and one that is not compressed'));
        await closeCleanly(peer);
      });
    }
  }
}

/** `Hello`, and the same text as one match that refers to the first. */
const HELLO = hex('f2 48 cd c9 c9 07 00');
const AGAIN = hex('f2 00 11 00 00');

function history(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.2.3.2',
    expects: 'each message comes back',
  });
  add('a message that refers to the previous one', async (attempt) => {
    const peer = await openWithHistory(attempt);
    for (const payload of [HELLO, AGAIN, AGAIN]) {
      await peer.sendFrames({ opcode: TEXT, payload, rsv: RSV1 });
      await expectMessage(peer, TEXT, utf8('Hello'));
    }
    await closeCleanly(peer);
  });
  add('a message that refers to one before an uncompressed message', async (attempt) => {
    const peer = await openWithHistory(attempt);
    await peer.sendFrames({ opcode: TEXT, payload: HELLO, rsv: RSV1 });
    await expectMessage(peer, TEXT, utf8('Hello'));
    await echo(peer, TEXT, utf8('plain'));
    await peer.sendFrames({ opcode: TEXT, payload: AGAIN, rsv: RSV1 });
    await expectMessage(peer, TEXT, utf8('Hello'));
    await closeCleanly(peer);
  });
  historyOfOthers(add);
  historyEdges(add);
}

/** Adds messages that refer to one before an empty message, or to one of another type. */
function historyOfOthers(add: AddCase<TargetAttempt>): void {
  add('a message that refers to one before an empty message', async (attempt) => {
    const peer = await openWithHistory(attempt);
    await peer.sendFrames(
      { opcode: TEXT, payload: HELLO, rsv: RSV1 },
      { opcode: TEXT, payload: hex('00'), rsv: RSV1 },
    );
    await peer.sendFrames({ opcode: TEXT, payload: AGAIN, rsv: RSV1 });
    await expectAll(
      peer,
      ['Hello', '', 'Hello'].map((text) => ({ opcode: TEXT, payload: utf8(text) })),
    );
    await closeCleanly(peer);
  });
  add('a binary message that refers to a text message', async (attempt) => {
    const peer = await openWithHistory(attempt);
    await peer.sendFrames(
      { opcode: TEXT, payload: HELLO, rsv: RSV1 },
      { opcode: BINARY, payload: AGAIN, rsv: RSV1 },
    );
    await expectMessage(peer, TEXT, utf8('Hello'));
    await expectMessage(peer, BINARY, utf8('Hello'));
    await closeCleanly(peer);
  });
}

/** Adds cases at the limits of the history: a final block, a full window, no context takeover. */
function historyEdges(add: AddCase<TargetAttempt>): void {
  add(
    'a message that refers to a message with a final block',
    async (attempt) => {
      const peer = await openWithHistory(attempt);
      await peer.sendFrames({ opcode: TEXT, payload: hex('f3 48 cd c9 c9 07 00 00'), rsv: RSV1 });
      await expectMessage(peer, TEXT, utf8('Hello'));
      await peer.sendFrames({ opcode: TEXT, payload: AGAIN, rsv: RSV1 });
      await expectSameOrFailure(peer, TEXT, utf8('Hello'));
    },
    { expects: SAME_OR_FAILED, section: 'RFC 7692, 7.2.3.2 and 7.2.3.4' },
  );
  add('thirty messages that share a window', async (attempt) => {
    const peer = await openWithHistory(attempt);
    for (let at = 0; at < 30; at++) {
      const payload = utf8(`message ${at}: ${letters(1500).toString()}`);
      await peer.sendFrames(compressedFrame(peer, TEXT, payload));
      await expectMessage(peer, TEXT, payload);
    }
    await closeCleanly(peer);
  });
  add(
    'a message that refers to the previous one, without context takeover',
    async (attempt) => {
      const peer = await attempt.openDeflate({ takeover: false });
      await peer.sendFrames({ opcode: TEXT, payload: HELLO, rsv: RSV1 });
      await expectMessage(peer, TEXT, utf8('Hello'));
      await peer.sendFrames({ opcode: TEXT, payload: AGAIN, rsv: RSV1 });
      await expectSameOrFailure(peer, TEXT, utf8('Hello'));
    },
    { section: 'RFC 7692, 7.1.1', expects: SAME_OR_FAILED },
  );
}

const SAME_OR_FAILED = 'the original bytes come back, or the target fails the connection';

function plain(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 6',
    expects: 'each message comes back: RSV1 marks the compressed ones',
  });
  for (const [opcode, make] of [
    [TEXT, letters],
    [BINARY, noise],
  ] as const) {
    for (const size of [0, 5, 1000, 65_536]) {
      add(
        `a ${opcodeName(opcode)} message of ${bytesText(size)}, uncompressed`,
        async (attempt) => {
          const peer = await attempt.openDeflate();
          await echo(peer, opcode, make(size));
          await closeCleanly(peer);
        },
      );
    }
  }
  mixed(add);
}

/** Adds plain messages between compressed ones. */
function mixed(add: AddCase<TargetAttempt>): void {
  add('alternating compressed and plain messages', async (attempt) => {
    const peer = await attempt.openDeflate();
    for (let at = 0; at < 10; at++) {
      const payload = letters(100 * at);
      await peer.sendFrames(
        at % 2 === 0 ? compressedFrame(peer, TEXT, payload) : { opcode: TEXT, payload },
      );
      await expectMessage(peer, TEXT, payload);
    }
    await closeCleanly(peer);
  });
  add(
    'a plain message in fragments between two compressed ones, in one segment',
    async (attempt) => {
      const peer = await attempt.openDeflate();
      const text = letters(300);
      await peer.sendFrames(
        compressedFrame(peer, TEXT, text),
        ...fragments(TEXT, text, [100, 200]),
        compressedFrame(peer, TEXT, text),
      );
      await expectAll(
        peer,
        [1, 2, 3].map(() => ({ opcode: TEXT, payload: text })),
      );
      await closeCleanly(peer);
    },
  );
}
