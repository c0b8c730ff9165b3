import { type DebugLogger, debuglog } from 'node:util';
import type { CloseInfo, ReportedConn } from '@ws/conn';

/** The log of `NODE_DEBUG=ws`, on standard error. Check `enabled` before you format its text. */
export const debug: DebugLogger = /* @__PURE__ */ debuglog('ws');

/** The role and the addresses of a connection. */
export function describeConn({ role, localAddr, remoteAddr }: ReportedConn): string {
  return `${role} ${localAddr ?? '?'}, peer ${remoteAddr ?? '?'}`;
}

/** How a connection has ended. */
export function describeClose({ code, reason, wasClean, error }: CloseInfo): string {
  const why = error === undefined ? '' : `, ${describeError(error)}`;
  return `${code} "${escaped(reason)}"${wasClean ? '' : ', not clean'}${why}`;
}

/** Class and message of an error, on one line. */
export function describeError(error: unknown): string {
  try {
    return escaped(String(error));
  } catch {
    return 'a value that cannot be printed';
  }
}

/** The peer's bytes must not change what a terminal shows. */
function escaped(text: string): string {
  return text.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
