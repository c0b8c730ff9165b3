import { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import { PACKED_BINARIES, PACKED_MESSAGES } from '../tables/deflate-payloads.ts';
import { hex, letters, noise, utf8 } from '../wire/bytes.ts';
import { closeCleanly, echo, eventWords, wantAll, wantMessage } from '../wire/expect.ts';
import { BINARY, bytesWords, opcodeName, RSV1, TEXT } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { fragments } from './fragmentation.ts';
import { packed } from './packed.ts';
import { packedContents } from './packed-contents.ts';
import { packedFrames } from './packed-frames.ts';

const SIZES = [0, 1, 16, 125, 126, 127, 1000, 4096, 32_768, 65_535, 65_536, 131_072];

/** Chapter 12: messages compressed with permessage-deflate, for both roles. */
export function compression<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(12);
  sizes(chapter);
  forms(chapter);
  history(chapter);
  plain(chapter);
  packedFrames(chapter);
  packedContents(chapter);
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
