import type { Corpus } from './corpus.ts';
import { type Checked, EchoCheck } from './echo-check.ts';
import { EchoStream } from './echo-stream.ts';
import { FrameLog } from './frame-log.ts';
import type { Pieces } from './pieces.ts';

/** The handling of the bytes that a connection receives. */
export interface Replies {
  /** Payloads of received pings. The caller removes them. */
  readonly pings: Buffer[];
  /** Bytes of received frames since the last check. */
  readonly bytes: number;
  /** Returns the number of messages that this chunk completes. */
  push(chunk: Buffer): number;
  /** Verifies the messages since the last check and returns their number. */
  check(): Checked;
}

/**
 * Stores the replies and verifies them between the windows: each server compresses in its own way.
 */
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

/** Verifies the replies on arrival, because their bytes are known. */
export function knownReplies(replies: Pieces, first: number): Replies {
  const stream = new EchoStream(replies, first);
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
