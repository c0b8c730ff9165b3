import { type Platform, perPlatform } from '../platform/platform.ts';
import { onRejection } from '../validate.ts';
import { kindOf, type ReportContext, type ReportedConn, reportText } from './report-text.ts';

/** The option `report`. */
export type Report = (error: unknown, context: ReportContext) => void;

/** The last errors of each connection that are remembered, and not reported again. */
const REMEMBERED = 8;
const remembered = /* @__PURE__ */ new WeakMap<ReportedConn, readonly unknown[]>();

/**
 * Passes an error of the application to `report`; undefined is the default. An error that passes
 * through several functions of a connection is reported once. Never throws. The default gets an
 * error of `report`.
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
  observe(platform, error, context);
  const warnings = warningsOf(platform);
  if (report === undefined) return warnings.report(error, context);
  const failed = (fault: unknown): void => {
    warnings.report(error, context);
    warnings.report(fault);
  };
  try {
    onRejection(report(error, context), failed);
  } catch (fault) {
    failed(fault);
  }
}

function observe(platform: Platform, error: unknown, { where, conn }: ReportContext): void {
  try {
    const result: unknown = platform.observer?.reported?.(error, where, conn);
    onRejection(result, () => {});
  } catch {
    // To report this error would call the observer again.
  }
}

/** Milliseconds in which one error of a kind is printed. */
const INTERVAL_MS = 1_000;
/** Most kinds of errors that are printed in this time. */
const MAX_KINDS = 100;

/**
 * The default of the option `report`: prints the error and its stack with `platform.warn`. A peer
 * may cause any number of errors with any text. So one error of a kind is printed a second, and the
 * next warning has the number of the others.
 */
export class WarningReporter {
  readonly #platform: Platform;
  /** The kinds that were printed since {@link #since}. */
  readonly #printed = new Set<string>();
  #since = Number.NEGATIVE_INFINITY;
  #withheld = 0;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Prints `error`, of any value, and where it comes from. Never throws. */
  report(error: unknown, context?: ReportContext): void {
    const now = this.#platform.now();
    const elapsed = now - this.#since;
    // A test has replaced the clock when time goes back.
    if (elapsed < 0 || elapsed >= INTERVAL_MS) {
      this.#printed.clear();
      this.#since = now;
    }
    const kind = kindOf(error);
    if (this.#printed.has(kind) || this.#printed.size === MAX_KINDS) {
      this.#withheld++;
      return;
    }
    this.#printed.add(kind);
    const others = this.#withheld;
    this.#withheld = 0;
    const suffix = others === 0 ? '' : ` (errors not printed before it: ${others})`;
    const text = reportText(error, suffix, context);
    try {
      this.#platform.warn(text);
    } catch {
      // No other place for the warning exists.
    }
  }
}

const warningsOfBase: (platform: Platform) => WarningReporter = /* @__PURE__ */ perPlatform(
  (platform) => new WarningReporter(platform),
);

/**
 * The default reporter of a platform. Platforms with the same base share it, so that a process has
 * one.
 */
export function warningsOf(platform: Platform): WarningReporter {
  return warningsOfBase(platform.base ?? platform);
}
