import type { CaseResult, Verdict } from '../model/case.ts';

/** Results of one run of the suite. */
export interface SuiteReport {
  /** Role of the target. */
  readonly role: 'server' | 'client';
  /** URL of the server, or command of the client. */
  readonly target: string;
  /** Seed of the suite's keys: a run with the same seed sends the same bytes. */
  readonly seed?: string | undefined;
  /** True: the connections to a server were streams of HTTP/2. */
  readonly http2?: boolean | undefined;
  /** Start of the run, in ISO 8601. */
  readonly started: string;
  /** Duration in ms. */
  readonly ms: number;
  /** Number of results with each verdict. */
  readonly counts: Readonly<Record<Verdict, number>>;
  /** Results in the order of the suite. */
  readonly results: readonly CaseResult[];
}

/** Creates a report from results. */
export function reportOf(
  role: SuiteReport['role'],
  target: string,
  started: Date,
  results: readonly CaseResult[],
  seed?: string,
): SuiteReport {
  return {
    role,
    target,
    seed,
    started: started.toISOString(),
    ms: Date.now() - started.getTime(),
    counts: countsOf(results),
    results,
  };
}

/** Counts the results of each verdict. */
export function countsOf(results: readonly CaseResult[]): Record<Verdict, number> {
  const counts = { pass: 0, advice: 0, 'non-strict': 0, fail: 0, skipped: 0, error: 0 };
  for (const { verdict } of results) counts[verdict]++;
  return counts;
}

/** What a target may offer or accept, and whole chapters depend on. */
export type Capability = 'compression' | 'subprotocol';

/** Reasons of skipped cases for a missing capability. */
const MISSING: Readonly<Record<Capability, RegExp>> = {
  compression: /^the client offers no permessage-deflate$/,
  subprotocol: /^the client offers no subprotocol$/,
};

/** Returns a sentence for each required capability whose cases were skipped. */
export function missingOf({ results }: SuiteReport, required: readonly Capability[]): string[] {
  return required.flatMap((name) => {
    const skipped = results.filter(
      ({ verdict, because }) => verdict === 'skipped' && MISSING[name].test(because.join()),
    );
    if (skipped.length === 0) return [];
    return `${name}: ${skipped.length} cases were skipped because ${skipped[0]!.because.join()}`;
  });
}

/** Options for servers and clients. */
export interface SuiteOptions {
  /** Ids of the cases to run; `*` matches any characters. Default: all. */
  readonly only?: readonly string[] | undefined;
  /** Ids of the cases to leave out, like `only`. Default: none. */
  readonly exclude?: readonly string[] | undefined;
  /** True: run the floods of 100,000 frames too, seconds each. Default: false. */
  readonly floods?: boolean | undefined;
  /** True: transcripts contain every byte. Default: the first 48 bytes of each segment. */
  readonly allBytes?: boolean | undefined;
  /** Maximum duration of a single wait, in ms. Default: 5000. */
  readonly timeout?: number | undefined;
  /** Receives the result of each case when it ends. */
  readonly onResult?: ((result: CaseResult) => void) | undefined;
}

/** Default of {@link SuiteOptions.timeout}, in ms. */
export const DEFAULT_TIMEOUT = 5000;
