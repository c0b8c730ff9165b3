import { STATUS_CODES } from 'node:http';
import { HandshakeError, serverFault } from './errors.ts';
import { headerPairs } from './headers.ts';
import { type AuthOf, expect, type Refusal } from './options.ts';

/**
 * Reads what `authenticate` gave.
 *
 * @throws HandshakeError for a refusal; 500 for one that cannot be sent.
 */
export function readAuth<Result>(result: unknown): AuthOf<Result> {
  if (result === false) throw refused({ refuse: true });
  if (isRefusal(result)) throw refusedOrFault(result);
  return result as AuthOf<Result>;
}

function isRefusal(result: unknown): result is Refusal {
  return typeof result === 'object' && result !== null && 'refuse' in result;
}

/** What cannot be sent is a fault of the application, and refuses as well. */
function refusedOrFault(refusal: Refusal): HandshakeError {
  try {
    return refused(refusal);
  } catch (cause) {
    return serverFault('authenticate', cause);
  }
}

/** @throws TypeError for a refusal that cannot be sent. */
function refused({ refuse, headers, body }: Refusal): HandshakeError {
  const status = refuse === true ? 401 : refuse;
  if (!Number.isInteger(status) || status < 300 || status > 599) {
    throw new TypeError(`authenticate: expected to refuse with 300 to 599, got ${String(status)}`);
  }
  if (body !== undefined) expect('body', body, typeof body === 'string', 'a string');
  const text = STATUS_CODES[status] ?? 'Refused';
  return new HandshakeError(status, `refused by authenticate: ${status} ${text}`, {
    headers: headerPairs(headers),
    body: body ?? `${text}\n`,
  });
}
