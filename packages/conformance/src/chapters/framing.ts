import { Chapter } from '../model/chapter.ts';
import type { TargetAttempt } from '../run/target-attempt.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import { alive, closeCleanly, echo, wantMessage } from '../wire/expect.ts';
import { BINARY, bytesWords, TEXT } from '../wire/frame.ts';

/** Around every border of the length field's three forms. */
const SIZES = [0, 1, 2, 16, 124, 125, 126, 127, 128, 129, 65_534, 65_535, 65_536, 65_537, 131_072];

const TYPES = [
  ['text', TEXT, letters],
  ['binary', BINARY, pattern],
] as const;

/** Chapter 1: whole messages in one frame, for both roles. */
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
      add(`a ${name} message of ${bytesWords(size)} in one frame`, async (attempt) => {
        const peer = await attempt.open();
        await echo(peer, opcode, make(size));
        await closeCleanly(peer);
      });
    }
  }
}

function several(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.4 and 5.6',
    expects: 'all messages come back, in their order',
  });
  const first = { opcode: TEXT, payload: utf8('first') };
  const second = { opcode: BINARY, payload: pattern(5) };
  const lists: readonly (readonly [string, readonly { opcode: number; payload: Uint8Array }[]])[] =
    [
      ['a text and a binary message in one segment', [first, second]],
      ['a binary and a text message in one segment', [second, first]],
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
      ['an empty message between two others', [first, { opcode: TEXT, payload: utf8('') }, second]],
      [
        'a message of each form of length, in one segment',
        [
          first,
          { opcode: TEXT, payload: letters(300) },
          { opcode: BINARY, payload: pattern(70_000) },
        ],
      ],
      [
        'a hundred messages that alternate in type',
        Array.from({ length: 100 }, (_, at) => ({
          opcode: at % 2 === 0 ? TEXT : BINARY,
          payload: letters(at),
        })),
      ],
    ];
  for (const [title, messages] of lists) {
    add(title, async (attempt) => {
      const peer = await attempt.open();
      await peer.sendFrames(...messages);
      for (const { opcode, payload } of messages) await wantMessage(peer, opcode, payload);
      await closeCleanly(peer);
    });
  }
  add('ten messages, each sent when the one before has come back', async (attempt) => {
    const peer = await attempt.open();
    for (let at = 0; at < 10; at++)
      await echo(peer, at % 2 === 0 ? TEXT : BINARY, letters(at * 50));
    await closeCleanly(peer);
  });
}

function bytes(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.6',
    expects: 'the same bytes come back, as a binary message',
  });
  const payloads: readonly (readonly [string, Buffer])[] = [
    ['each of the 256 bytes', Buffer.from(Array.from({ length: 256 }, (_, at) => at))],
    ['only zeros', Buffer.alloc(200)],
    ['only 0xff', Buffer.alloc(200, 0xff)],
    ['what is not UTF-8', Buffer.from([0xc3, 0x28, 0xff, 0xfe])],
    ['what looks like a close frame', Buffer.from([0x88, 0x02, 0x03, 0xe8])],
    ['what looks like the end of an HTTP header', utf8('\r\n\r\n')],
  ];
  for (const [title, payload] of payloads) {
    add(`a binary message of ${title}`, async (attempt) => {
      const peer = await attempt.open();
      await echo(peer, BINARY, payload);
      await alive(peer);
      await closeCleanly(peer);
    });
  }
}
