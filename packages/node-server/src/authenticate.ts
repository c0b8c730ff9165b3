import { STATUS_CODES } from 'node:http';
import { assertOption } from '@ws/http-shared';
import { HandshakeError, serverFault } from './errors.ts';
import { headerPairs } from './headers.ts';
import type { AuthOf, Refusal } from './options.ts';

/**
 * Returns the result of `authenticate` unless it is a refusal.
 *
 * @throws HandshakeError for a refusal, with its status; 500 for a refusal that cannot be sent.
 */
export function readAuth<Result>(result: unknown): AuthOf<Result> {
  if (result === false) throw refusalError({ refuse: true });
  if (isRefusal(result)) throw refusalOrFault(result);
  return result as AuthOf<Result>;
}

function isRefusal(result: unknown): result is Refusal {
  return typeof result === 'object' && result !== null && 'refuse' in result;
}

/** A refusal that cannot be sent is an error of the application. It refuses with 500. */
function refusalOrFault(refusal: Refusal): HandshakeError {
  try {
    return refusalError(refusal);
  } catch (cause) {
    return serverFault('authenticate', cause);
  }
}

/** @throws TypeError for a status, body or header that cannot be sent. */
function refusalError({ refuse, headers, body }: Refusal): HandshakeError {
  const status = refuse === true ? 401 : refuse;
  if (!Number.isInteger(status) || status < 300 || status > 599) {
    throw new TypeError(
      `authenticate: expected a refusal status from 300 to 599, got ${String(status)}`,
    );
  }
  if (body !== undefined) assertOption('body', body, typeof body === 'string', 'a string');
  const text = STATUS_CODES[status] ?? 'Refused';
  return new HandshakeError(status, `refused by authenticate: ${status} ${text}`, {
    headers: headerPairs(headers),
    body: body ?? `${text}\n`,
  });
}
