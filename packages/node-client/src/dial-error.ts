import { TransportError } from '@ws/conn';
import { causeText } from '@ws/conn/internal';
import { excerpt } from './errors.ts';

/** What the error of a system call means for a dial, by its code. */
const MEANINGS: ReadonlyMap<unknown, string> = new Map([
  ['ECONNREFUSED', 'nothing listens there'],
  ['ENOTFOUND', 'the name does not exist'],
  ['EAI_AGAIN', 'no DNS server has answered'],
  ['EHOSTUNREACH', 'no route leads there'],
  ['ENETUNREACH', 'no route leads there'],
  ['ENOENT', 'there is no such socket'],
]);

/** OpenSSL's codes for an answer that is not TLS. */
const NOT_TLS_CODES: ReadonlySet<unknown> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_HTTP_REQUEST',
]);

/** The end of a TLS connection that may not speak TLS. */
type PlainPeer = 'server' | 'proxy';
/** What to do about an answer that is not TLS. */
const NOT_TLS_ADVICE: Readonly<Record<PlainPeer, string>> = {
  server: 'the server does not speak TLS there; use ws:',
  proxy: 'the proxy does not speak TLS there; use http:',
};

/**
 * The error of a dial whose connection failed. The message says what failed, the message of
 * `cause`, and what that means.
 *
 * @param advice - The end of the message.
 */
export function dialError(
  what: string,
  cause: unknown,
  peer: PlainPeer = 'server',
  advice = '',
): TransportError {
  const why = [causeText(cause), meaningOf(cause, peer)].filter((text) => text !== '');
  const message = why.length === 0 ? what : `${what}: ${excerpt(why.join('; '), 300)}`;
  return new TransportError(message + advice, { cause });
}

function meaningOf(cause: unknown, peer: PlainPeer): string {
  const code = propertyOf(cause, 'code');
  if (NOT_TLS_CODES.has(code)) return NOT_TLS_ADVICE[peer];
  const meaning = MEANINGS.get(code) ?? '';
  return code === 'ENOTFOUND' ? meaning + nameAdvice(propertyOf(cause, 'hostname')) : meaning;
}

/** @param host - The name that was not found, as Node's error has it. */
function nameAdvice(host: unknown): string {
  if (typeof host !== 'string' || host.includes('.')) return '';
  return `; write its full name, such as ${host}.org, or its IP address`;
}

/** A getter or a trap of the application's error may throw. */
function propertyOf(cause: unknown, name: 'code' | 'hostname'): unknown {
  try {
    return (cause as { code?: unknown; hostname?: unknown } | null | undefined)?.[name];
  } catch {
    return undefined;
  }
}
