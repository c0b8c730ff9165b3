// One case of the request tests of llhttp, and the ways to write it.
import type { RequestChange } from '@ws/tests';

/** One case. `taken`: llhttp takes the head in its strict mode. */
export interface LlhttpCase {
  readonly file: string;
  readonly title: string;
  readonly change: RequestChange;
  readonly taken: boolean;
  /** Status of a raw upgrade. Default: 101 for a head that is taken, 400 for another. */
  readonly status?: number;
  /** Why a raw upgrade refuses a head that is taken. */
  readonly stricter?: string;
}

export const BODY = 'RFC 6455, section 4.1: a handshake has no body';
export const NOT_GET = 'RFC 6455, section 4.1: the method is GET';
export const OTHER_VERSION = 'RFC 6455, section 4.1: HTTP/1.1';
/** The fields of the sound handshake. */
export const ALL = ['host', 'upgrade', 'connection', 'sec-websocket-key', 'sec-websocket-version'];

export const refused = (file: string, title: string, change: RequestChange): LlhttpCase => ({
  file,
  title,
  change,
  taken: false,
});
export const taken = (file: string, title: string, change: RequestChange): LlhttpCase => ({
  file,
  title,
  change,
  taken: true,
});
export const stricter = (
  file: string,
  title: string,
  change: RequestChange,
  reason: string,
  status = 400,
): LlhttpCase => ({ ...taken(file, title, change), stricter: reason, status });

export const line = (text: string): RequestChange => ({ line: text });
export const add = (...lines: string[]): RequestChange => ({ add: lines });
