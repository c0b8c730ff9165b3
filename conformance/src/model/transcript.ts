import type { TranscriptLine } from './case.ts';

/** Maximum number of lines in one transcript. A byte-by-byte case would fill a report otherwise. */
const MAX_LINES = 60;

/** Records the sent bytes, received bytes and events of one case. */
export class Transcript {
  /** True: keep every line and every byte. Default false: the first bytes, and at most 60 lines. */
  complete: boolean = false;
  readonly #lines: TranscriptLine[] = [];
  #omitted = 0;

  /** Adds bytes. From the third received segment in a row, segments share one line. */
  bytes(connection: number, kind: 'sent' | 'received', bytes: Uint8Array, label: string): void {
    const line = {
      connection,
      kind,
      says: label,
      hex: hexOf(bytes, this.complete ? bytes.length : MAX_HEX),
      text: httpHeaderOf(bytes),
      size: bytes.length,
    };
    const merges = kind === 'received' && !this.complete && this.#receivedRun(connection) > 1;
    if (merges) this.#merge(line);
    else this.#add(line);
  }

  /** Counts the received lines of a connection at the end of the transcript, at most 2. */
  #receivedRun(connection: number): number {
    const last = this.#lines.slice(-2);
    const other = last.findLastIndex(
      (line) => line.kind !== 'received' || line.connection !== connection,
    );
    return last.length - 1 - other;
  }

  /** A large message arrives in hundreds of segments. All after the first share one line. */
  #merge(line: TranscriptLine): void {
    const last = this.#lines.pop()!;
    this.#lines.push({ ...last, says: 'bytes, in several segments', size: last.size + line.size });
  }

  /** Adds an event. */
  event(connection: number, text: string): void {
    this.#add({ connection, kind: 'event', says: text, hex: '', text: '', size: 0 });
  }

  /** All lines, or the first and last 30 with a note about the omitted lines. */
  get lines(): readonly TranscriptLine[] {
    if (this.#omitted === 0) return [...this.#lines];
    const head = this.#lines.slice(0, MAX_LINES / 2);
    const gap: TranscriptLine = {
      connection: 0,
      kind: 'event',
      says: `${this.#omitted} lines omitted`,
      hex: '',
      text: '',
      size: 0,
    };
    return [...head, gap, ...this.#lines.slice(MAX_LINES / 2)];
  }

  #add(line: TranscriptLine): void {
    this.#lines.push(line);
    if (this.complete || this.#lines.length <= MAX_LINES) return;
    this.#lines.splice(MAX_LINES / 2, 1);
    this.#omitted++;
  }
}

/** Number of bytes of a segment in a transcript. */
const MAX_HEX = 48;

/** Maximum length of an HTTP header in a transcript line, in characters. */
const MAX_TEXT = 600;

/** Returns the start of an HTTP header; a dot replaces each unprintable character. */
function httpHeaderOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, MAX_TEXT)).toString('latin1');
  if (!/^(?:HTTP|[A-Za-z]+ )/.test(text)) return '';
  const [head = ''] = text.split('\r\n\r\n');
  return head.replaceAll(/[^\x20-\x7e\r\n]/g, '\u00b7');
}

/** Formats the first bytes as hex pairs, followed by the number of omitted bytes. */
export function hexOf(bytes: Uint8Array, limit: number = MAX_HEX): string {
  const shown = Buffer.from(bytes.subarray(0, limit))
    .toString('hex')
    .replaceAll(/..(?=.)/g, '$& ');
  return bytes.length > limit ? `${shown} … and ${bytes.length - limit} more` : shown;
}
