import { type Platform, perPlatform } from '../platform/platform.ts';
import { onRejection } from '../validate.ts';
import { kindOf, type ReportContext, type ReportedConn, reportText } from './report-text.ts';

/** The type of the option `report`. */
export type Report = (error: unknown, context: ReportContext) => void;

/** Number of the last errors of a connection that are remembered. */
const REMEMBERED = 8;
/** The last errors of each connection, so that they are not reported again. */
const remembered = /* @__PURE__ */ new WeakMap<ReportedConn, readonly unknown[]>();

/**
 * Passes an error of the application to `report`; undefined means the default report, which prints
 * a warning. An error that passes through several functions of a connection is reported once. Never
 * throws: an error of `report` goes to the default report.
 */
export function reportError(
  report: Report | undefined,
  platform: Platform,
  error: unknown,
  context: ReportContext,
): void {
  const { conn } = context;
  if (conn !== undefined) {
    const earlier = remembered.get(conn) ?? [];
    if (earlier.includes(error)) return;
    remembered.set(conn, [...earlier, error].slice(-REMEMBERED));
  }
  notifyObserver(platform, error, context);
  const warnings = warningsOf(platform);
  if (report === undefined) return warnings.report(error, context);
  const failed = (reportFailure: unknown): void => {
    warnings.report(error, context);
    warnings.report(reportFailure);
  };
  try {
    onRejection(report(error, context), failed);
  } catch (thrown) {
    failed(thrown);
  }
}

function notifyObserver(platform: Platform, error: unknown, { where, conn }: ReportContext): void {
  try {
    const result: unknown = platform.observer?.reported?.(error, where, conn);
    onRejection(result, () => {});
  } catch {
    // A report of an error of the observer would call the observer again.
  }
}

/** In each interval of this many ms, at most one error of each kind is printed. */
const INTERVAL_MS = 1_000;
/** Bound of the kinds of errors that are printed in an interval. */
const MAX_KINDS = 100;

/**
 * The default of the option `report`: prints the error and its stack with `platform.warn`. A peer may
 * cause any number of errors with any text. So only one error of each kind is printed a second. The
 * next warning has the number of errors that were not printed.
 */
export class WarningReporter {
  readonly #platform: Platform;
  /** The kinds that were printed since {@link #since}. */
  readonly #printed = new Set<string>();
  #since = Number.NEGATIVE_INFINITY;
  #notPrinted = 0;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Prints `error`, which may be any value, and its origin. Never throws. */
  report(error: unknown, context?: ReportContext): void {
    const now = this.#platform.now();
    const elapsed = now - this.#since;
    // A negative time means that a test has replaced the clock.
    if (elapsed < 0 || elapsed >= INTERVAL_MS) {
      this.#printed.clear();
      this.#since = now;
    }
    const kind = kindOf(error);
    if (this.#printed.has(kind) || this.#printed.size === MAX_KINDS) {
      this.#notPrinted++;
      return;
    }
    this.#printed.add(kind);
    const others = this.#notPrinted;
    this.#notPrinted = 0;
    const suffix = others === 0 ? '' : ` (errors not printed before it: ${others})`;
    const text = reportText(error, suffix, context);
    try {
      this.#platform.warn(text);
    } catch {
      // There is no other place to print the warning.
    }
  }
}

const warningsOfBase: (platform: Platform) => WarningReporter = /* @__PURE__ */ perPlatform(
  (platform) => new WarningReporter(platform),
);

/** Returns the default reporter of a platform. Platforms with the same base share one reporter. */
export function warningsOf(platform: Platform): WarningReporter {
  return warningsOfBase(platform.base ?? platform);
}

/** A name or an option that will go: a row of the table in docs/promises.md. */
interface Deprecation {
  /** `WS_DEP1` and so on. A code is never given twice. */
  readonly code: string;
  /** For example `the option x of serve`. */
  readonly what: string;
  /** What to write instead, for example `use y`. */
  readonly instead: string;
  /** The minor release that throws a TypeError for it. */
  readonly until: string;
}

const warnedCodes: (platform: Platform) => Set<string> = /* @__PURE__ */ perPlatform(
  () => new Set(),
);

/** Warns, once for each code, of what still works and will go. Never throws. */
export function warnOfDeprecation(platform: Platform, deprecation: Deprecation): void {
  const { code, what, instead, until } = deprecation;
  const base = platform.base ?? platform;
  const codes = warnedCodes(base);
  if (codes.has(code)) return;
  codes.add(code);
  try {
    base.warn(
      `websocket: ${what} is deprecated, and a TypeError from ${until} on: ${instead} (${code})`,
    );
  } catch {
    // There is no other place to print the warning.
  }
}
