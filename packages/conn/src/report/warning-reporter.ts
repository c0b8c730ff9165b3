import { isError } from '../errors.ts';
import { type Platform, perPlatform } from '../platform/platform.ts';
import { kind } from '../validate.ts';
import type { ReportContext } from './report.ts';

/** Milliseconds between two warnings of one group. */
const INTERVAL_MS = 1_000;
/** Most groups of errors that are counted separately. All others are one group. */
const MAX_GROUPS = 100;
/** Characters of a name or a message that a warning shows. */
const MAX_TEXT = 2_000;
/** Lines of a stack that a warning shows. */
const MAX_STACK_LINES = 20;

/** Functions whose error closes the connection. */
const HANDLERS: readonly string[] = [
  'handler',
  'receive',
  'ping handler',
  'pong handler',
  'close handler',
];
/** The text for a value whose getters or methods throw. */
const UNPRINTABLE = 'a value that cannot be printed';

/** The last warning about errors of one group, and the errors since. */
interface Recent {
  warnedAt: number;
  /** Errors since the last warning. A timer runs while there is one. */
  count: number;
  last: unknown;
  lastContext: ReportContext | undefined;
}

/**
 * The default of the option `report`: prints the error and its stack with `platform.warn`. A peer
 * may cause any number of errors with any text. So one group has at most one warning a second, with
 * a count, and control characters are escaped.
 */
export class WarningReporter {
  readonly #platform: Platform;
  readonly #groups = new Map<string, Recent>();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Prints `error`, of any value, and where it comes from. Never throws. */
  report(error: unknown, context?: ReportContext): void {
    const now = this.#platform.now();
    const group = this.#groupOf(error, now);
    const recent = this.#groups.get(group);
    if (recent === undefined || isOver(recent, now)) {
      this.#groups.set(group, quietSince(now));
      this.#warn(error, context, '');
      return;
    }
    recent.last = error;
    recent.lastContext = context;
    if (++recent.count > 1) return;
    const ms = Math.ceil(recent.warnedAt + INTERVAL_MS - now);
    this.#platform.setTimer(Math.max(1, ms), () => this.#flush(group, recent));
  }

  #groupOf(error: unknown, now: number): string {
    const known = isError(error) ? groupOf(error) : typeof error;
    if (this.#groups.size >= MAX_GROUPS) this.#forgetOld(now);
    return this.#groups.size < MAX_GROUPS || this.#groups.has(known) ? known : 'other';
  }

  #forgetOld(now: number): void {
    for (const [name, { count, warnedAt }] of this.#groups) {
      if (count === 0 && now - warnedAt >= INTERVAL_MS) this.#groups.delete(name);
    }
  }

  #flush(name: string, { count, last, lastContext }: Recent): void {
    this.#groups.set(name, quietSince(this.#platform.now()));
    const suffix = count === 1 ? '' : ` (${count} of this kind within ${INTERVAL_MS} ms)`;
    this.#warn(last, lastContext, suffix);
  }

  #warn(error: unknown, context: ReportContext | undefined, suffix: string): void {
    const text = textFor(error, suffix);
    try {
      this.#platform.warn(context === undefined ? text : `${text}\n${whereText(context)}`);
    } catch {
      // No other place for the warning exists.
    }
  }
}

function quietSince(warnedAt: number): Recent {
  return { warnedAt, count: 0, last: undefined, lastContext: undefined };
}

/**
 * Whether the next error of the group is printed at once. When errors are withheld for too long,
 * their timer is lost: it belonged to fake timers that a test has removed.
 */
function isOver({ count, warnedAt }: Recent, now: number): boolean {
  const quiet = now - warnedAt;
  return quiet < 0 || quiet >= (count === 0 ? INTERVAL_MS : 2 * INTERVAL_MS);
}

/**
 * The default reporter of a platform. Platforms with the same base share it, so that a process has
 * one.
 */
export function warningsOf(platform: Platform): WarningReporter {
  return warningsOfBase(platform.base ?? platform);
}

const warningsOfBase: (platform: Platform) => WarningReporter = /* @__PURE__ */ perPlatform(
  (platform) => new WarningReporter(platform),
);

/**
 * Returns the group of `error`: errors of one class that one line has created. The message may
 * contain input of a peer.
 */
function groupOf(error: Error): string {
  return `${fieldOf(error, 'name')} ${fieldOf(error, 'code')} ${stackLinesOf(error)[0] ?? ''}`;
}

/** The name, the code and the message of `error`, its stack, and the same of its cause. */
function textFor(error: unknown, suffix: string): string {
  if (!isError(error)) return `${printable(textOfValue(error))}${suffix}`;
  const lines = [`${titleOf(error)}${suffix}`, ...stackLinesOf(error)];
  const cause = causeOf(error);
  if (isError(cause)) lines.push(`Cause: ${titleOf(cause)}`, ...stackLinesOf(cause));
  else if (cause !== undefined) lines.push(`Cause: ${printable(textOfValue(cause))}`);
  return lines.join('\n');
}

function titleOf(error: Error): string {
  const name = printable(fieldOf(error, 'name')) || 'Error';
  const code = printable(fieldOf(error, 'code'));
  return `${name}${code && ` [${code}]`}: ${printable(fieldOf(error, 'message'))}`;
}

/** Where an error comes from, what follows, and what to do. */
function whereText({ conn, where, route, status }: ReportContext): string {
  const place = route === undefined ? where : `${where} of ${route}`;
  const retries = where === 'dial' ? '; later dials that fail are not reported, see retry' : '';
  const closes = HANDLERS.includes(where) ? '; an open connection closes with 1011' : '';
  const refused = status === undefined ? '' : `; the request is refused with ${status}`;
  return `In ${printable(place)}${connText(conn)}${retries}${closes}${refused}. The option report gets such errors.`;
}

function connText(conn: ReportContext['conn']): string {
  if (conn === undefined) return '';
  const peer = conn.role === 'server' ? 'client' : 'server';
  return `, connection to the ${peer} ${printable(conn.remoteAddr ?? 'without an address')}`;
}

/** Text of a value that is not an Error. */
function textOfValue(value: unknown): string {
  return (
    textBy(() => (isObject(value) ? `${kind(value)} ${JSON.stringify(value)}` : String(value))) ??
    textBy(() => Object.prototype.toString.call(value)) ??
    UNPRINTABLE
  );
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function textBy(print: () => string): string | undefined {
  try {
    return print();
  } catch {
    return undefined;
  }
}

function causeOf(error: Error): unknown {
  try {
    return error.cause;
  } catch {
    return undefined;
  }
}

/** A getter of an error may throw, and an application may set any value. */
function fieldOf(error: Error, name: 'name' | 'message' | 'code' | 'stack'): string {
  try {
    const text = (error as Partial<Record<typeof name, unknown>>)[name];
    return typeof text === 'string' ? text : '';
  } catch {
    return '';
  }
}

function stackLinesOf(error: Error): string[] {
  const lines = fieldOf(error, 'stack').split('\n', 10 * MAX_STACK_LINES);
  return lines
    .filter((line) => /^ {4}at /.test(line))
    .slice(0, MAX_STACK_LINES)
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
