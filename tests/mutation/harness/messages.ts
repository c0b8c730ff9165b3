/** Measures the regions that the tests of a file run. */
export interface MeasureRequest {
  readonly kind: 'measure';
  /** Instrumented text, by absolute path. */
  readonly sources: Readonly<Record<string, string>>;
  /** The test file. */
  readonly test: string;
}

/** Tries one mutant. */
export interface TryRequest {
  readonly kind: 'try';
  readonly path: string;
  readonly text: string;
  /** The test file; `ids`: its tests that run the mutant. */
  readonly test: string;
  readonly ids: readonly string[];
  /** Most loop iterations. */
  readonly limit: number;
}

export type Request = MeasureRequest | TryRequest;

export interface TestFigures {
  readonly id: string;
  readonly name: string;
  readonly ms: number;
  readonly passed: boolean;
  readonly regions: readonly number[];
}

export interface FileFigures {
  readonly path: string;
  /** Loop iterations of all tests. */
  readonly loops: number;
  /** Errors of its import. */
  readonly errors: readonly string[];
  /** Regions that run outside of its tests. */
  readonly regions: readonly number[];
  readonly tests: readonly TestFigures[];
}

export interface Measured {
  readonly kind: 'measured';
  readonly figures: FileFigures;
}

export interface Tried {
  readonly kind: 'tried';
  readonly outcome: 'killed' | 'survived' | 'timed out';
  /** The test that failed, or another cause. */
  readonly killer?: string;
  /** The timeout of a test, not of a loop. */
  readonly waited?: true;
  /** No test failed, but an error was not caught. It may come from an earlier mutant. */
  readonly uncaught?: true;
}

export type Answer = Measured | Tried;
