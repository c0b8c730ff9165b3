import { makePayloads } from './echo-corpus.ts';

/** Number of different messages. */
const DIFFERENT = 64;

/** The traffic of a client: a turn of messages, then a wait for the answer. */
export interface SinkPlan {
  /** Messages of the client in a turn. */
  readonly up: number;
  /** Messages of the sink in a turn. */
  readonly down: number;
  /** Bytes of a message of the client. Those of the sink have the same size. */
  readonly size: number;
}

/** The messages of a client in order. They repeat. */
export function clientPayloads({ size }: SinkPlan): Buffer[] {
  return makePayloads({ content: 'binary', sizes: [size], count: DIFFERENT });
}
