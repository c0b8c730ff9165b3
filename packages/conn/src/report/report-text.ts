import type { Role } from '@ws/codec';
import { isError, printable } from '../errors.ts';
import { kind } from '../validate.ts';

// The text of a report that is printed: an error, and where it comes from. Getters of an error may throw,
// and its text may come from a peer.

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

/** Characters of a name or a message that a warning shows. */
const MAX_TEXT = 2_000;
/** Lines of a stack that a warning shows. */
const MAX_STACK_LINES = 20;
/** The text for a value with getters or methods that throw. */
const UNPRINTABLE = 'a value that cannot be printed';

/** An error of these functions closes the connection. */
const HANDLERS: readonly string[] = [
  'handler',
  'receive',
  'ping handler',
  'pong handler',
  'close handler',
];

/**
 * Returns the kind of `error`: errors of one class that one line has created. The message may
 * contain input of a peer.
 */
export function kindOf(error: unknown): string {
  if (!isError(error)) return typeof error;
  return `${fieldOf(error, 'name')} ${fieldOf(error, 'code')} ${stackOf(error)[0] ?? ''}`;
}

export function reportText(
  error: unknown,
  suffix: string,
  context: ReportContext | undefined,
): string {
  if (context === undefined) return textOf(error, suffix);
  // The first dial before a server listens is no fault of the code in its stack.
  const isFailedDial =
    context.where === 'dial' && isError(error) && fieldOf(error, 'code').startsWith('WS_ERR_');
  return isFailedDial
    ? `${titleOf(error)}${suffix}. ${placeOf(context)}`
    : `${textOf(error, suffix)}\n${placeOf(context)}`;
}

/** The name, the code and the message of `error`, its stack, and the same of its cause. */
function textOf(error: unknown, suffix: string): string {
  if (!isError(error)) return `${valueText(error)}${suffix}`;
  const lines = [`${titleOf(error)}${suffix}`, ...stackOf(error)];
  const cause = attempt(() => error.cause);
  if (isError(cause)) lines.push(`Cause: ${titleOf(cause)}`, ...stackOf(cause));
  else if (cause !== undefined) lines.push(`Cause: ${valueText(cause)}`);
  return lines.join('\n');
}

/** Where an error comes from, what follows, and what to do. */
function placeOf({ conn, where, route, status }: ReportContext): string {
  const place = route === undefined ? where : `${where} of ${route}`;
  const peer = conn?.role === 'server' ? 'client' : 'server';
  const end =
    conn && `, connection to the ${peer} ${escaped(conn.remoteAddr ?? 'without an address')}`;
  const retries = where === 'dial' ? '; later dials that fail are not reported, see retry' : '';
  const closes = HANDLERS.includes(where) ? '; an open connection closes with 1011' : '';
  const refused = status === undefined ? '' : `; the request is refused with ${status}`;
  return `In ${escaped(place)}${end ?? ''}${retries}${closes}${refused}. The option report gets such errors.`;
}

/** Cuts a long text, and escapes what would change the output of a terminal. */
function escaped(text: string): string {
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
