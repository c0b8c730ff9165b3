/** Measures what the tests of a file run. */
export interface MeasureOrder {
  readonly kind: 'measure';
  /** Metered text, by absolute path. */
  readonly sources: Readonly<Record<string, string>>;
  /** The test file. */
  readonly test: string;
}

/** Tries one mutant. */
export interface TryOrder {
  readonly kind: 'try';
  readonly path: string;
  readonly text: string;
  /** The test file, and those of its tests that run the mutant. */
  readonly test: string;
  readonly ids: readonly string[];
  readonly limit: number;
}

export type Order = MeasureOrder | TryOrder;

export interface TestFigures {
  readonly id: string;
  readonly name: string;
  readonly ms: number;
  readonly passed: boolean;
  readonly regions: readonly number[];
}

export interface FileFigures {
  readonly path: string;
  readonly turns: number;
  /** Why it could not be imported. */
  readonly errors: readonly string[];
  /** What ran outside of its tests. */
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
  /** The test that failed, or what else told it from the original. */
  readonly killer?: string;
  /** It timed out because a test waited for what never came. */
  readonly waited?: true;
  /** No test failed, but something was thrown that nobody caught: it may be late, and of an earlier mutant. */
  readonly uncaught?: true;
}

export type Answer = Measured | Tried;
