import type { TargetAttempt } from '../attempts/target-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import { utf8 } from '../wire/bytes.ts';
import { closeCleanly, expectAll, type SentMessage } from '../wire/expect.ts';
import { type FrameSpec, PING } from '../wire/frame.ts';
import type { Peer } from '../wire/peer.ts';
import { compressedFragments } from './compressed.ts';
import { fragments } from './fragments.ts';
import { RandomChoices } from './random-choices.ts';

/** Adds random conversations in which some messages are compressed. */
export function compressedConversations(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 6 and 7.2; RFC 6455, 5.4',
    expects: 'all messages come back in order, and the target answers the last ping',
  });
  for (let at = 1; at <= 20; at++) {
    add(
      `random conversation ${at}: compressed and plain messages, fragments, pings, pongs and segments`,
      async (attempt) => {
        const peer = await attempt.openDeflate();
        const random = new RandomChoices(attempt, at);
        const messages = Array.from({ length: 12 }, () => random.message());
        const lastPing = { opcode: PING, payload: utf8('the last one') };
        const frames = messages.flatMap((one) => framesOf(peer, random, one));
        const bytes = peer.bytes(...frames, lastPing);
        await peer.sendPieces(random.cut(bytes), { label: 'a random conversation' });
        await expectAll(peer, messages, lastPing.payload);
        await closeCleanly(peer);
      },
    );
  }
}

function framesOf(
  peer: Peer,
  random: RandomChoices,
  { opcode, payload }: SentMessage,
): FrameSpec[] {
  const sizesOf = (length: number): number[] => random.sizes(length);
  const frames =
    random.below(3) === 0
      ? fragments(opcode, payload, sizesOf(payload.length))
      : compressedFragments(peer, opcode, payload, sizesOf);
  return random.withControls(frames);
}
