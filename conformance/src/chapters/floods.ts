import type { TargetAttempt } from '../attempts/target-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { letters, pattern, utf8 } from '../wire/bytes.ts';
import { closeCleanly, expectAll, type SentMessage } from '../wire/expect.ts';
import { BINARY, type FrameSpec, PING, PONG, TEXT } from '../wire/frame.ts';
import { TOO_MANY } from './limits.ts';

const COUNT = 100_000;

/** Each title, with the frame that is sent {@link COUNT} times. */
const FLOODS: readonly (readonly [title: string, frame: SentMessage])[] = [
  ['empty text messages', { opcode: TEXT, payload: letters(0) }],
  ['binary messages of 16 bytes', { opcode: BINARY, payload: pattern(16) }],
  ['pings', { opcode: PING, payload: utf8('ping') }],
  ['unsolicited pongs', { opcode: PONG, payload: utf8('pong') }],
];

/** Adds floods to chapter 9. Each takes seconds, so a run has them only on demand. */
export function floods<Context extends TargetAttempt>(chapter: Chapter<Context>): Chapter<Context> {
  const add = chapter.section({
    section: 'RFC 6455, 5.4, 5.5.3 and 10.4',
    expects:
      'all messages come back and the last ping is answered, or the target fails the connection with 1008, 1009 or 1013',
    flood: true,
  });
  for (const [title, frame] of FLOODS) {
    add(`100,000 ${title} in one write, then a ping`, async (attempt) => {
      const peer = await attempt.open();
      const frames = Array.from({ length: COUNT }, () => frame);
      const lastPing: FrameSpec = { opcode: PING, payload: utf8('the last one') };
      const sent = peer.sendList([...frames, lastPing]);
      const echoes = frame.opcode === TEXT || frame.opcode === BINARY ? frames : [];
      const all = await expectAll(peer, echoes, lastPing.payload, TOO_MANY);
      await sent;
      if (all) await closeCleanly(peer);
    });
  }
  return chapter;
}
