/** What an RFC says with MUST, or with SHOULD (RFC 2119). */
export type Level = 'must' | 'should';

/**
 * How a case went. `non-strict`: a SHOULD was not followed, which a target may have its reasons for. `skipped`: the case
 * does not apply, because an extension was not agreed on for example; the reason stands beside it.
 */
export type Verdict = 'pass' | 'non-strict' | 'fail' | 'skipped';

/** What a report says of a case. */
export interface CaseFacts {
  /** Chapter, section, number: `3.2.7`. Stands as long as the case does. */
  readonly id: string;
  readonly chapter: number;
  /** What is done to the target. */
  readonly title: string;
  /** What the target does, if all is well. */
  readonly expects: string;
  /** Where it is written: `RFC 6455, 5.2`. */
  readonly section: string;
  readonly level: Level;
}

/** One question to a target. `Context` is what the case is given to ask it with. */
export interface Case<Context> extends CaseFacts {
  /** Throws a `Violation` or a `Skip`; notes what is only non-strict. */
  run(context: Context): Promise<void>;
}

/** How one case went, with all that a reader of the report needs. */
export interface CaseResult extends CaseFacts {
  readonly verdict: Verdict;
  /** A sentence for each thing that was not as it is written, or the reason of a skip. */
  readonly because: readonly string[];
  /** Milliseconds. */
  readonly ms: number;
  /** What went over the wire, in order. */
  readonly transcript: readonly TranscriptLine[];
}

/** Bytes that were sent or received, or an event of the connection. */
export interface TranscriptLine {
  /** Which of a case's connections, from 1. */
  readonly connection: number;
  readonly kind: 'sent' | 'received' | 'event';
  /** What it was, in words. */
  readonly says: string;
  /** The first bytes, as hex pairs; empty for an event. */
  readonly hex: string;
  /** The header of HTTP that they are, its beginning; empty for anything else. */
  readonly text: string;
  /** How many bytes there were; 0 for an event. */
  readonly size: number;
}
