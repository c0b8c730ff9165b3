import type { TranscriptLine } from '../model/case.ts';
import { hexOf } from './bytes.ts';

/** Lines kept of one case; a byte-by-byte case would fill a report otherwise. */
const MAX_LINES = 60;

/** What one case sent, received and saw. */
export class Transcript {
  readonly #lines: TranscriptLine[] = [];
  #left = 0;

  bytes(connection: number, kind: 'sent' | 'received', bytes: Uint8Array, says: string): void {
    const line = {
      connection,
      kind,
      says,
      hex: hexOf(bytes),
      text: httpOf(bytes),
      size: bytes.length,
    };
    if (kind === 'received' && this.#row(connection) > 1) this.#merge(line);
    else this.#add(line);
  }

  /** How many of the last lines are received bytes of a connection, at most 2. */
  #row(connection: number): number {
    const last = this.#lines.slice(-2);
    const other = last.findLastIndex(
      (line) => line.kind !== 'received' || line.connection !== connection,
    );
    return last.length - 1 - other;
  }

  /** A large message comes in hundreds of segments: all but the first two share a line. */
  #merge(line: TranscriptLine): void {
    const last = this.#lines.pop()!;
    this.#lines.push({ ...last, says: 'bytes, in several segments', size: last.size + line.size });
  }

  event(connection: number, says: string): void {
    this.#add({ connection, kind: 'event', says, hex: '', text: '', size: 0 });
  }

  /** The first lines, and the last ones when there were too many. */
  get lines(): readonly TranscriptLine[] {
    if (this.#left === 0) return [...this.#lines];
    const head = this.#lines.slice(0, MAX_LINES / 2);
    const gap: TranscriptLine = {
      connection: 0,
      kind: 'event',
      says: `${this.#left} lines are left out`,
      hex: '',
      text: '',
      size: 0,
    };
    return [...head, gap, ...this.#lines.slice(MAX_LINES / 2)];
  }

  #add(line: TranscriptLine): void {
    this.#lines.push(line);
    if (this.#lines.length <= MAX_LINES) return;
    this.#lines.splice(MAX_LINES / 2, 1);
    this.#left++;
  }
}

/** Characters of a header that are kept. */
const MAX_TEXT = 600;

/** The lines of a header, what is not printable as a dot. */
function httpOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, MAX_TEXT)).toString('latin1');
  if (!/^(?:HTTP|[A-Za-z]+ )/.test(text)) return '';
  const [head = ''] = text.split('\r\n\r\n');
  return head.replaceAll(/[^\x20-\x7e\r\n]/g, '\u00b7');
}
