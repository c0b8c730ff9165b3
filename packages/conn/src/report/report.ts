import { onRejection } from '../on-rejection.ts';
import type { Platform } from '../platform/platform.ts';
import type { ReportContext, ReportedConn } from './report-context.ts';
import { warningsOf } from './warning-reporter.ts';

/** The option `report`. */
export type Report = (error: unknown, context: ReportContext) => void;

/** The last errors of each connection that are remembered, and not reported again. */
const REMEMBERED = 8;
const remembered = /* @__PURE__ */ new WeakMap<ReportedConn, readonly unknown[]>();

/**
 * Passes an error of the application to `report`; undefined is the default. An error that passes
 * through several functions of a connection is reported once. Never throws: the default gets an
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
  const failed = (fault: unknown): void => warnings.report(fault);
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
