import { Chapter } from '../model/chapter.ts';
import type { ServerAttempt } from '../run/server-attempt.ts';
import { letters, pattern } from '../wire/bytes.ts';
import { closeCleanly, echo } from '../wire/expect.ts';
import { BINARY, bytesWords, TEXT } from '../wire/frame.ts';

/** Chapter 1: whole messages in one frame. */
export const framing: Chapter<ServerAttempt> = new Chapter(1);

/** Around every border of the length field's three forms. */
const SIZES = [0, 1, 2, 16, 124, 125, 126, 127, 128, 129, 65_534, 65_535, 65_536, 65_537, 131_072];

for (const [name, opcode, make] of [
  ['text', TEXT, letters],
  ['binary', BINARY, pattern],
] as const) {
  const add = framing.section({
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
