import type { Corpus } from './corpus.ts';
import { type Checked, EchoCheck } from './echo-check.ts';
import type { EchoCorpus } from './echo-corpus.ts';
import { EchoStream } from './echo-stream.ts';
import { FrameLog } from './frame-log.ts';

/** What becomes of the bytes that a connection gets. */
export interface Replies {
  /** Payloads of pings; to be taken out. */
  readonly pings: Buffer[];
  /** Bytes of frames that came in, since the last check. */
  readonly bytes: number;
  /** How many messages are complete with this chunk. */
  push(chunk: Buffer): number;
  /** Says how many there were since the last time, all of them verified. */
  check(): Checked;
}

/** Kept as they are, and verified between the windows: they are compressed, each server's in its own way. */
export function keptReplies(corpus: Corpus): Replies {
  const log = new FrameLog();
  const check = new EchoCheck(corpus);
  return {
    pings: log.pings,
    get bytes() {
      return log.length;
    },
    push: (chunk) => log.push(chunk),
    check: () => check.check(log.drain()),
  };
}

/** Verified as they come: it is known what they are. */
export function knownReplies({ replies, replySize }: EchoCorpus, first: number): Replies {
  const stream = new EchoStream(replies, replySize, first);
  let messages = 0;
  let checked = 0;
  return {
    pings: stream.pings,
    get bytes() {
      return stream.bytes - checked;
    },
    push(chunk) {
      const complete = stream.push(chunk);
      messages += complete;
      return complete;
    },
    check() {
      const found = { messages, compressed: 0 };
      messages = 0;
      checked = stream.bytes;
      return found;
    },
  };
}
