import type { TargetAttempt } from '../attempts/target-attempt.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import { checkAlive, closeCleanly, echo, expectMessage } from '../wire/expect.ts';
import { BINARY, bytesText, TEXT } from '../wire/frame.ts';

/** Sizes around the limits of the three length forms. */
const SIZES = [0, 1, 2, 16, 124, 125, 126, 127, 128, 129, 65_534, 65_535, 65_536, 65_537, 131_072];

const TYPES = [
  ['text', TEXT, letters],
  ['binary', BINARY, pattern],
] as const;

/** Creates chapter 1: messages in one frame, for both roles. */
export function framing<Context extends TargetAttempt>(): Chapter<Context> {
  const chapter = new Chapter<Context>(1);
  sizes(chapter);
  several(chapter);
  bytes(chapter);
  return chapter;
}

function sizes(chapter: Chapter<TargetAttempt>): void {
  for (const [name, opcode, make] of TYPES) {
    const add = chapter.section({
      section: 'RFC 6455, 5.2 and 5.6',
      expects: 'the same message comes back',
    });
    for (const size of SIZES) {
      add(`a ${name} message of ${bytesText(size)} in one frame`, async (attempt) => {
        const peer = await attempt.open();
        await echo(peer, opcode, make(size));
        await closeCleanly(peer);
      });
    }
  }
}

const FIRST = { opcode: TEXT, payload: utf8('first') };

const SECOND = { opcode: BINARY, payload: pattern(5) };

/** Messages that arrive in one segment. */
const SEQUENCES: readonly (readonly [
  string,
  readonly { opcode: number; payload: Uint8Array }[],
])[] = [
  ['a text and a binary message in one segment', [FIRST, SECOND]],
  ['a binary and a text message in one segment', [SECOND, FIRST]],
  [
    'ten text messages in one segment',
    Array.from({ length: 10 }, (_, at) => ({ opcode: TEXT, payload: utf8(`number ${at}`) })),
  ],
  [
    'three empty text messages in one segment',
    Array.from({ length: 3 }, () => ({ opcode: TEXT, payload: utf8('') })),
  ],
  [
    'three empty binary messages in one segment',
    Array.from({ length: 3 }, () => ({ opcode: BINARY, payload: utf8('') })),
  ],
  ['an empty message between two others', [FIRST, { opcode: TEXT, payload: utf8('') }, SECOND]],
  [
    'a message with each length form, in one segment',
    [FIRST, { opcode: TEXT, payload: letters(300) }, { opcode: BINARY, payload: pattern(70_000) }],
  ],
  [
    'a hundred messages of alternating type',
    Array.from({ length: 100 }, (_, at) => ({
      opcode: at % 2 === 0 ? TEXT : BINARY,
      payload: letters(at),
    })),
  ],
];

function several(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 5.6',
    expects: 'all messages come back in order',
  });
  for (const [title, messages] of SEQUENCES) {
    add(title, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...messages);
      for (const { opcode, payload } of messages) await expectMessage(peer, opcode, payload);
      await closeCleanly(peer);
    });
  }
  oneByOne(add);
}

/** Adds messages that each wait for the previous echo. */
function oneByOne(add: AddCase<TargetAttempt>): void {
  add('ten messages, each sent after the echo of the previous one', async (attempt) => {
    const peer = await attempt.open();
    for (let at = 0; at < 10; at++)
      await echo(peer, at % 2 === 0 ? TEXT : BINARY, letters(at * 50));
    await closeCleanly(peer);
  });
}

/** Payloads of binary messages. */
const PAYLOADS: readonly (readonly [string, Buffer])[] = [
  ['all 256 byte values', Buffer.from(Array.from({ length: 256 }, (_, at) => at))],
  ['only zeros', Buffer.alloc(200)],
  ['only 0xff', Buffer.alloc(200, 0xff)],
  ['invalid UTF-8', Buffer.from([0xc3, 0x28, 0xff, 0xfe])],
  ['bytes that look like a close frame', Buffer.from([0x88, 0x02, 0x03, 0xe8])],
  ['bytes that look like the end of an HTTP header', utf8('\r\n\r\n')],
];

function bytes(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.6',
    expects: 'the same bytes come back, as a binary message',
  });
  for (const [title, payload] of PAYLOADS) {
    add(`a binary message of ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await echo(peer, BINARY, payload);
      await checkAlive(peer);
      await closeCleanly(peer);
    });
  }
}
