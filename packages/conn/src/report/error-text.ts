import { isError, printable } from '../errors.ts';
import { kind } from '../validate.ts';

// The text of an error in a warning. Its getters may throw, and its text may come from a peer.

/** Characters of a name or a message that a warning shows. */
const MAX_TEXT = 2_000;
/** Lines of a stack that a warning shows. */
const MAX_STACK_LINES = 20;
/** The text for a value with getters or methods that throw. */
const UNPRINTABLE = 'a value that cannot be printed';

/**
 * Returns the kind of `error`: errors of one class that one line has created. The message may
 * contain input of a peer.
 */
export function kindOf(error: unknown): string {
  if (!isError(error)) return typeof error;
  return `${fieldOf(error, 'name')} ${fieldOf(error, 'code')} ${stackOf(error)[0] ?? ''}`;
}

/** The name, the code and the message of `error`, its stack, and the same of its cause. */
export function textOf(error: unknown, suffix: string): string {
  if (!isError(error)) return `${valueText(error)}${suffix}`;
  const lines = [`${titleOf(error)}${suffix}`, ...stackOf(error)];
  const cause = attempt(() => error.cause);
  if (isError(cause)) lines.push(`Cause: ${titleOf(cause)}`, ...stackOf(cause));
  else if (cause !== undefined) lines.push(`Cause: ${valueText(cause)}`);
  return lines.join('\n');
}

/** Cuts a long text, and escapes what would change the output of a terminal. */
export function escaped(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
  return printable(cut.replaceAll('\n', String.raw`\n`));
}

function titleOf(error: Error): string {
  const name = escaped(fieldOf(error, 'name')) || 'Error';
  const code = escaped(fieldOf(error, 'code'));
  return `${name}${code && ` [${code}]`}: ${escaped(fieldOf(error, 'message'))}`;
}

function stackOf(error: Error): string[] {
  const lines = fieldOf(error, 'stack').split('\n', 10 * MAX_STACK_LINES);
  return lines
    .filter((line) => /^ {4}at /.test(line))
    .slice(0, MAX_STACK_LINES)
    .map(escaped);
}

/** A field that is a string, else `''`: an application may set any value. */
function fieldOf(error: Error, name: 'name' | 'message' | 'code' | 'stack'): string {
  const text = attempt(() => (error as Partial<Record<typeof name, unknown>>)[name]);
  return typeof text === 'string' ? text : '';
}

/** Text of a value that is not an Error. */
function valueText(value: unknown): string {
  const text =
    attempt(() => (isObject(value) ? `${kind(value)} ${JSON.stringify(value)}` : String(value))) ??
    attempt(() => Object.prototype.toString.call(value)) ??
    UNPRINTABLE;
  return escaped(text);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Undefined when `call` throws. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}
