import { STATUS_CODES } from 'node:http';
import { Readable } from 'node:stream';
import { types } from 'node:util';
import {
  Admission,
  type AuthOf as AuthOfResult,
  decisionOf,
  isError,
  type ResponseRefusal,
} from '@ws/conn/internal';
import { assertOption, headerEntries } from '@ws/node-io/internal';
import { HandshakeError, type HeaderPair, serverFault } from '../errors.ts';
import {
  type AnyResponse,
  endToEnd,
  type HeadersInput,
  headerPairs,
  isResponse,
} from '../headers.ts';

/** A result of `authenticate` that refuses the request. */
export interface Refusal {
  /** The HTTP status, 300 to 599; `true` for 401. */
  readonly refuse: number | true;
  /** Headers of the answer, `WWW-Authenticate` for example. Default: none. */
  readonly headers?: HeadersInput | undefined;
  /**
   * Body of the answer: plain text, unless `headers` has a Content-Type. Default: the reason phrase
   * of the status.
   */
  readonly body?: string | undefined;
}

/** The results of `authenticate` that a handler can get. Without `authenticate` it is `undefined`. */
export type AuthOf<Result> = [Result] extends [undefined] ? undefined : AuthOfResult<Result>;

/**
 * What `authenticate` may return. `true` and the result of `admit` admit; everything else refuses:
 * `false`, null and undefined with 401.
 */
export type AdmitOrRefuse =
  | boolean
  | null
  | undefined
  | Admission<unknown>
  | Refusal
  | ResponseRefusal;

/** A function of the application that may refuse a request. */
export type Refuser = 'authenticate' | 'onRequest' | 'onHost' | 'onHeader' | 'onBeforeUpgrade';

/**
 * Returns the result of `authenticate` if it admits the client, or a Response that refuses it.
 *
 * @throws HandshakeError for every other result: a refusal with its status; an Error as
 *   {@link thrownBy} does; 401 for `false`, null and undefined; 500 for a value that decides nothing,
 *   or whose getters or traps throw.
 */
export function readAuth(result: unknown): Admission<unknown> | AnyResponse {
  let decision: object | undefined;
  try {
    decision = decisionOf(result);
    if (Admission.is(decision) || isResponse(decision)) return decision;
  } catch (cause) {
    throw thrownBy('authenticate', cause);
  }
  if (decision !== undefined) throw refusalOrFault('authenticate', decision as Refusal);
  if (result === false) throw refusalError('authenticate', { refuse: true });
  const message = `refused by authenticate: it returned ${String(result)}; return true to admit without data`;
  throw new HandshakeError(401, message, { body: `${STATUS_CODES[401]}\n` });
}

/**
 * Returns the refusal for an error that a function threw or returned. An error that is meant for the
 * client (`expose`, as http-errors sets it) refuses with its own status. Any other is a fault. So is
 * an error with getters or traps that throw.
 */
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
 * Returns the refusal that a function has returned, or of an Error as {@link thrownBy} does;
 * undefined for another result. A refusal that cannot be sent is an error of the application and
 * refuses with 500.
 */
export function returnedRefusal(where: Refuser, result: unknown): HandshakeError | undefined {
  if (isError(result)) return thrownBy(where, result);
  const refuses = typeof result === 'object' && result !== null && 'refuse' in result;
  return refuses ? refusalOrFault(where, result as Refusal) : undefined;
}

/** @returns undefined for an error that is not meant for the client. */
function exposedRefusal({ expose, status, headers, message }: ExposedError): Refusal | undefined {
  const isExposed = expose === true && Number.isInteger(status) && status! >= 400 && status! <= 499;
  return isExposed ? { refuse: status!, headers, body: `${message}\n` } : undefined;
}

/** An error as http-errors creates it. */
type ExposedError = Error & Partial<{ expose: boolean; status: number; headers: HeadersInput }>;

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
    const got = typeof status === 'string' ? `the string '${String(status)}'` : String(status);
    throw new TypeError(`${where}: expected a refusal status from 300 to 599, got ${got}`);
  }
  if (body !== undefined) assertOption('body', body, typeof body === 'string', 'a string');
  const text = STATUS_CODES[status] ?? 'Refused';
  return new HandshakeError(status, `refused by ${where}: ${status} ${text}`, {
    headers: headerPairs(headers),
    body: body ?? `${text}\n`,
  });
}

/** Bytes of the body that are sent. */
const MAX_BODY = 64 * 1024;

type Wait = <T>(work: Promise<T>) => Promise<T>;

/**
 * Makes the refusal of `refuse(response)`: the Response's status, its headers and the first 64 KiB of
 * its body.
 *
 * @param wait - Waits while the client is there and the time of the handshake is not up. With that
 *   time, the body ends too.
 * @returns 500 for a status that refuses nothing, and for headers that cannot be sent.
 */
export async function responseRefusal(response: AnyResponse, wait: Wait): Promise<HandshakeError> {
  try {
    const { status } = response;
    if (typeof status !== 'number' || !Number.isInteger(status) || status < 300 || status > 599) {
      throw new TypeError(
        `authenticate: expected a Response of 300 to 599, got ${String(status)}; to refuse, write { refuse: 401 }`,
      );
    }
    const lines = [...headerEntries(response.headers ?? [])] as HeaderPair[];
    // `fetch` decodes a body, and keeps its `Content-Encoding`.
    const headers = headerPairs(endToEnd(lines, (name) => name === 'content-encoding'));
    const body = await readBody(response.body, wait);
    const message = `refused by authenticate: ${status} ${STATUS_CODES[status] ?? 'Refused'}`;
    return new HandshakeError(status, message, { headers, body });
  } catch (cause) {
    return serverFault('authenticate', cause);
  }
}

/** Reads the beginning of a body as text. A body that fails, or was read before, ends there. */
async function readBody(body: unknown, wait: Wait): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let reader: ReadableStreamDefaultReader<unknown> | undefined;
  try {
    // node-fetch has a stream of Node.
    const stream = body instanceof Readable ? Readable.toWeb(body) : body;
    reader = (stream as ReadableStream<unknown> | null | undefined)?.getReader();
    for (let rest = MAX_BODY; reader !== undefined && rest > 0; ) {
      const { done, value } = await wait(reader.read());
      if (done || !types.isUint8Array(value)) break;
      text += decoder.decode(value.subarray(0, rest), { stream: true });
      rest -= value.length;
    }
  } catch {}
  // The rest is not read.
  void (async () => reader?.cancel())().catch(() => {});
  return text;
}
