import type { Role } from '@ws/codec';
import type { Platform } from '../platform/platform.ts';
import { onRejection } from '../validate.ts';
import { warningsOf } from './warning-reporter.ts';

/** The facts of a connection that a report needs. The object is the `Conn`. */
export interface ReportedConn {
  readonly role: Role;
  readonly subprotocol: string;
  readonly localAddr: string | undefined;
  readonly remoteAddr: string | undefined;
}

/** Where an error comes from: the second argument of the option `report`. */
export interface ReportContext {
  /** The connection; undefined for an error that concerns none, or several. */
  readonly conn?: ReportedConn | undefined;
  /**
   * The method that got a wrong argument, or the application's function that failed: `writeJSON`,
   * `receive`, `ping handler`, `writeBufferPool`, ...
   */
  readonly where: string;
  /** On a server: the route of the connection or of the request, if one has matched. */
  readonly route?: string | undefined;
  /** On a server: the status with which the request is refused. */
  readonly status?: number | undefined;
}

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
