import { STATUS_CODES } from 'node:http';
import { isError } from '@ws/conn/internal';
import { assertOption } from '@ws/node-io/internal';
import { HandshakeError, serverFault } from '../errors.ts';
import { type HeadersInput, headerPairs } from '../headers.ts';
import type { AuthOf, Refusal } from '../options.ts';
import { hasAdmission } from './admit.ts';

/** A function of the application that may refuse a request. */
export type Refuser = 'authenticate' | 'onRequest' | 'onHost' | 'onHeader' | 'onBeforeUpgrade';

/**
 * Returns the result of `authenticate` if it admits the client.
 *
 * @throws HandshakeError for every other result: a refusal with its status; an Error as
 *   {@link thrownByAuthenticate} does; 401 for a missing value; 500 for a value whose getters or
 *   traps throw, and for one that looks like a refusal or contains a result of `admit`.
 */
export function readAuth<Result>(result: unknown): AuthOf<Result> {
  const refusal = refusalOfResult(result);
  if (refusal !== undefined) throw refusal;
  return result as AuthOf<Result>;
}

function refusalOfResult(result: unknown): HandshakeError | undefined {
  try {
    if (!result) return emptyResult(result);
    return returnedRefusal('authenticate', result) ?? mistakenAuth(result);
  } catch (cause) {
    return serverFault('authenticate', cause);
  }
}

/**
 * Returns the refusal for an error that `authenticate` threw or returned. An error that is meant
 * for the client (`expose`, as http-errors sets it) refuses with its own status. Any other is a
 * fault. So is an error whose getters or traps throw.
 */
export function thrownByAuthenticate(error: unknown): HandshakeError {
  return thrownBy('authenticate', error);
}

/** As {@link thrownByAuthenticate}, for any function that may refuse. */
export function thrownBy(where: Refuser, error: unknown): HandshakeError {
  let refusal: Refusal | undefined;
  try {
    refusal = isError(error) ? exposedRefusal(error) : undefined;
  } catch {
    return serverFault(where, error);
  }
  return refusal === undefined ? serverFault(where, error) : refusalOrFault(where, refusal);
}

/**
 * Returns the refusal that a function has returned, or that of an Error as {@link thrownBy} does;
 * undefined for another result. A refusal that cannot be sent is an error of the application and
 * refuses with 500.
 */
export function returnedRefusal(where: Refuser, result: unknown): HandshakeError | undefined {
  if (isError(result)) return thrownBy(where, result);
  return isRefusal(result) ? refusalOrFault(where, result) : undefined;
}

/** @returns undefined for an error that is not meant for the client. */
function exposedRefusal({ expose, status, headers, message }: ExposedError): Refusal | undefined {
  const isExposed = expose === true && Number.isInteger(status) && status! >= 400 && status! <= 499;
  return isExposed ? { refuse: status!, headers, body: `${message}\n` } : undefined;
}

/** An error as http-errors creates it. */
interface ExposedError extends Error {
  readonly expose?: boolean;
  readonly status?: number;
  readonly headers?: HeadersInput;
}

/** A lookup without a result, or a function without `return`, admits no client. */
function emptyResult(result: unknown): HandshakeError {
  if (result === false) return refusalError('authenticate', { refuse: true });
  const got = result === '' ? "''" : String(result);
  const message = `refused by authenticate: it returned ${got}; return true to admit without data`;
  return new HandshakeError(401, message, { body: `${STATUS_CODES[401]}\n` });
}

/** Returns the fault of data that is not meant to admit; undefined for other data. */
function mistakenAuth(result: unknown): HandshakeError | undefined {
  if (typeof result !== 'object' && typeof result !== 'function') return undefined;
  const { status } = result as { readonly status?: unknown };
  const isStatus = typeof status === 'number' && status >= 300 && status <= 599;
  if (!isStatus && !hasAdmission(result)) return undefined;
  const what = isStatus ? `the status ${status}` : 'a result of admit in it';
  const cause = new TypeError(
    `authenticate: got an object with ${what}; to refuse, write { refuse: 401 }; to admit, return admit(auth) itself`,
  );
  return serverFault('authenticate', cause);
}

function isRefusal(result: unknown): result is Refusal {
  return typeof result === 'object' && result !== null && 'refuse' in result;
}

function refusalOrFault(where: Refuser, refusal: Refusal): HandshakeError {
  try {
    return refusalError(where, refusal);
  } catch (cause) {
    return serverFault(where, cause);
  }
}

/** @throws TypeError for a status, body or header that cannot be sent. */
function refusalError(where: Refuser, { refuse, headers, body }: Refusal): HandshakeError {
  const status = refuse === true ? 401 : refuse;
  if (!Number.isInteger(status) || status < 300 || status > 599) {
    throw new TypeError(
      `${where}: expected a refusal status from 300 to 599, got ${String(status)}`,
    );
  }
  if (body !== undefined) assertOption('body', body, typeof body === 'string', 'a string');
  const text = STATUS_CODES[status] ?? 'Refused';
  return new HandshakeError(status, `refused by ${where}: ${status} ${text}`, {
    headers: headerPairs(headers),
    body: body ?? `${text}\n`,
  });
}
