import { STATUS_CODES } from 'node:http';
import { inspect } from 'node:util';
import { assertOption } from '@ws/node-io/internal';
import type { HandshakeError } from '../errors.ts';
import { headerPairs, mergeHeaders } from '../headers.ts';
import type { AnyUpgraderOptions, ErrorAnswer } from '../options.ts';
import type { Answer } from '../responder/responder.ts';

/** The option `error`. */
export type ErrorHook = NonNullable<AnyUpgraderOptions['error']>;

const USAGE = 'return { status, headers, body } instead of writing to the socket';

/**
 * Returns the answer for a refused request after the option `error` was asked.
 *
 * @param result - Its result. Anything but an object leaves the default answer: a hook may only log.
 * @throws TypeError for a result that cannot be sent.
 */
export function answerOf(refusal: HandshakeError, result: unknown): Answer {
  if (typeof result !== 'object' || result === null) return refusal;
  const { status, headers, body } = result as Partial<ErrorAnswer>;
  if (!Number.isInteger(status) || status! < 300 || status! > 599) {
    const got = inspect(status, { depth: 0 });
    throw new TypeError(`error: expected a status from 300 to 599, got ${got}; ${USAGE}`);
  }
  if (body !== undefined) assertOption('error: body', body, typeof body === 'string', 'a string');
  const own = headerPairs(headers);
  // Headers of the refusal, `Allow` for example, belong to its status.
  const isSame = status === refusal.status;
  return {
    status: status!,
    headers: isSame ? mergeHeaders(refusal.headers, own) : own,
    body: body ?? (isSame ? refusal.body : `${STATUS_CODES[status!] ?? 'Refused'}\n`),
  };
}

/** The error for a hook that has written to the socket itself, as it did in earlier versions. */
export function wroteItself(): TypeError {
  return new TypeError(`error: has written to the socket; ${USAGE}`);
}
