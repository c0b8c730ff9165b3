import type { Role } from '@ws/codec';
import { isError, printable } from '../errors.ts';
import { kind } from '../validate.ts';

// The printed text of a report: an error and its origin. Getters of an error may throw, and its
// text may come from a peer.

/** The part of a `Conn` that a report needs. */
export interface ReportedConn {
  readonly role: Role;
  readonly subprotocol: string;
  readonly localAddr: string | undefined;
  readonly remoteAddr: string | undefined;
}

/** The origin of an error: the second argument of the option `report`. */
export interface ReportContext {
  /** The connection; undefined for an error that belongs to no single connection. */
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

/** Longest name or message in a warning, in UTF-16 units. */
const MAX_TEXT = 2_000;
/** Largest number of lines of a stack in a warning. */
const MAX_STACK_LINES = 20;
/** The text for a value with getters or methods that throw. */
const UNPRINTABLE = 'a value that cannot be printed';

/** Values of `where` for functions whose errors close the connection. */
const HANDLERS: readonly string[] = [
  'handler',
  'receive',
  'ping handler',
  'pong handler',
  'close handler',
];

/**
 * Returns the kind of `error`: its class, its code and the line that has created it. The message does
 * not count, because it may contain input of a peer.
 */
export function kindOf(error: unknown): string {
  if (!isError(error)) return typeof error;
  return `${fieldOf(error, 'name')} ${fieldOf(error, 'code')} ${stackOf(error)[0] ?? ''}`;
}

/** Returns the text of a warning. `suffix` follows the message of `error`. */
export function reportText(
  error: unknown,
  suffix: string,
  context: ReportContext | undefined,
): string {
  if (context === undefined) return textOf(error, suffix);
  // No stack: a dial that fails, for example because no server listens, is no bug of its caller.
  const isFailedDial =
    context.where === 'dial' && isError(error) && fieldOf(error, 'code').startsWith('WS_ERR_');
  return isFailedDial
    ? `${titleOf(error)}${suffix}. ${originOf(context)}`
    : `${textOf(error, suffix)}\n${originOf(context)}`;
}

/** The name, code, message and stack of `error` and of its cause. */
function textOf(error: unknown, suffix: string): string {
  if (!isError(error)) return `${valueText(error)}${suffix}`;
  const lines = [`${titleOf(error)}${suffix}`, ...stackOf(error)];
  const cause = attempt(() => error.cause);
  if (isError(cause)) lines.push(`Cause: ${titleOf(cause)}`, ...stackOf(cause));
  else if (cause !== undefined) lines.push(`Cause: ${valueText(cause)}`);
  return lines.join('\n');
}

/** The origin and the effects of an error, and advice. */
function originOf({ conn, where, route, status }: ReportContext): string {
  const place = route === undefined ? where : `${where} of ${route}`;
  const peer = conn?.role === 'server' ? 'client' : 'server';
  const connText =
    conn && `, connection to the ${peer} ${escaped(conn.remoteAddr ?? 'without an address')}`;
  const retries = where === 'dial' ? '; later dials that fail are not reported, see retry' : '';
  const closes = HANDLERS.includes(where) ? '; an open connection closes with 1011' : '';
  const getter = where === 'hub' ? "hub.on('error', ...) gets" : 'The option report gets';
  const refused = status === undefined ? '' : `; the request is refused with ${status}`;
  return `In ${escaped(place)}${connText ?? ''}${retries}${closes}${refused}. ${getter} such errors.`;
}

/** Cuts a long text, and escapes characters that change the output of a terminal. */
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

/** The field `name`, or `''` if the application has set a value that is no string. */
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

/** Returns the result of `call`, or undefined when `call` throws. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}
