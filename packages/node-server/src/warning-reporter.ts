import { inspect } from 'node:util';

/** Milliseconds between two warnings of one kind. */
const INTERVAL_MS = 1_000;
/** Kinds with a timer each. Further kinds count as one. */
const MAX_KINDS = 100;
/** Characters of a name or a message that a warning shows. */
const MAX_TEXT = 2_000;
/** Lines of a stack that a warning shows. */
const MAX_FRAMES = 20;

/** Errors of one kind since the last warning about one. */
interface Suppressed {
  count: number;
  last: unknown;
}

/**
 * The default of the option `report`: prints the error and its stack as a process warning. A peer
 * may cause any number of errors with any text. So one kind has at most one warning a second, with
 * a count, and control characters are escaped.
 */
export class WarningReporter {
  readonly #kinds = new Map<string, Suppressed>();

  readonly report = (error: unknown): void => {
    const kind = this.#kindOf(error);
    const suppressed = this.#kinds.get(kind);
    if (suppressed === undefined) {
      this.#kinds.set(kind, { count: 0, last: undefined });
      emitWarning(error, '');
      this.#wait(kind);
    } else {
      suppressed.count++;
      suppressed.last = error;
    }
  };

  #kindOf(error: unknown): string {
    const kind = error instanceof Error ? kindOf(error) : typeof error;
    return this.#kinds.size < MAX_KINDS || this.#kinds.has(kind) ? kind : 'other';
  }

  #wait(kind: string): void {
    setTimeout(() => this.#flush(kind), INTERVAL_MS).unref();
  }

  #flush(kind: string): void {
    const { count, last } = this.#kinds.get(kind)!;
    this.#kinds.delete(kind);
    if (count === 0) return;
    this.#kinds.set(kind, { count: 0, last: undefined });
    emitWarning(last, count === 1 ? '' : ` (${count} of this kind within ${INTERVAL_MS} ms)`);
    this.#wait(kind);
  }
}

/** Errors of one class that one line has created. The message may contain input of a peer. */
function kindOf(error: Error): string {
  return `${textOf(error, 'name')} ${textOf(error, 'code')} ${framesOf(error)[0] ?? ''}`;
}

function emitWarning(error: unknown, suffix: string): void {
  if (error instanceof Error) {
    process.emitWarning(`${textOf(error, 'message')}${suffix}`, {
      type: textOf(error, 'name') || 'Error',
      code: textOf(error, 'code'),
      detail: framesOf(error).join('\n'),
    });
  } else {
    // String() fails for some values that can be thrown.
    const text = typeof error === 'string' ? error : inspect(error, { breakLength: Infinity });
    process.emitWarning(`${printable(text)}${suffix}`);
  }
}

/** A getter of an error may throw, and an application may set any value. */
function textOf(error: Error, name: 'name' | 'message' | 'code' | 'stack'): string {
  try {
    const text = (error as Partial<Record<typeof name, unknown>>)[name];
    if (typeof text === 'string') return name === 'stack' ? text : printable(text);
  } catch {}
  return '';
}

function framesOf(error: Error): string[] {
  const lines = textOf(error, 'stack').split('\n', 10 * MAX_FRAMES);
  return lines
    .filter((line) => /^ {4}at /.test(line))
    .slice(0, MAX_FRAMES)
    .map(printable);
}

/** Escapes control characters and invisible ones, which would change what a terminal shows. */
function printable(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
  return cut.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, escapeCharacter);
}

function escapeCharacter(character: string): string {
  if (character === '\n') return String.raw`\n`;
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
