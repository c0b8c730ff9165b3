import type { Weight } from './weights.ts';

/** The requirement level of a rule: MUST or SHOULD (RFC 2119), or advice that is in no RFC. */
export type Level = 'must' | 'should' | 'advice';

/**
 * The outcome of a case. `non-strict`: the target did not follow a SHOULD. `advice`: no RFC asks for
 * it, but good targets do it. `skipped`: the case does not apply, for example because the target
 * declined an extension; the result contains the reason. `error`: the suite itself failed.
 */
export type Verdict = 'pass' | 'advice' | 'non-strict' | 'fail' | 'skipped' | 'error';

/** The description of a case in a report. */
export interface CaseFacts {
  /** Chapter, section and number, such as `3.2.7`. It never changes while the case exists. */
  readonly id: string;
  /** Number of the chapter; `CHAPTERS` has its title. */
  readonly chapter: number;
  /** What the suite does to the target. */
  readonly title: string;
  /** What a correct target does. */
  readonly expects: string;
  /** Source of the rule, such as `RFC 6455, 5.2`. */
  readonly section: string;
  /** Requirement level of the rule. */
  readonly level: Level;
  /** Effect of a difference. */
  readonly weight: Weight;
}

/** One test of a target. `Context` is the attempt that opens the connections of the case. */
export interface Case<Context> extends CaseFacts {
  /** True: it takes seconds, and a run has it only on demand. */
  readonly flood: boolean;
  /** Path and query of the URL for a client that starts once per case. Default: with the case's number. */
  readonly target: string | undefined;
  /**
   * Runs the case and records its non-strict remarks in the attempt.
   *
   * @throws (rejects with) {@link Violation} when the target broke a rule, {@link Skip} when the
   *   case does not apply.
   */
  run(context: Context): Promise<void>;
}

/** The outcome of one case, with its explanation and its transcript. */
export interface CaseResult extends CaseFacts {
  /** Outcome of the case. */
  readonly verdict: Verdict;
  /** One sentence for each broken rule, or the reason of a skip. */
  readonly because: readonly string[];
  /** Duration in ms. */
  readonly ms: number;
  /** Sent and received bytes and events of the connections, in order. */
  readonly transcript: readonly TranscriptLine[];
}

/** Sent bytes, received bytes, or an event of a connection. */
export interface TranscriptLine {
  /** Number of the connection within the case, from 1. */
  readonly connection: number;
  /** Direction of the bytes, or an event without bytes. */
  readonly kind: 'sent' | 'received' | 'event';
  /** Description of the bytes or of the event. */
  readonly says: string;
  /** The first bytes, as hex pairs; empty for an event. */
  readonly hex: string;
  /** Start of the HTTP header in these bytes; empty for other bytes. */
  readonly text: string;
  /** Number of bytes; 0 for an event. */
  readonly size: number;
}
