import { STATUS_CODES } from 'node:http';
import { Readable } from 'node:stream';
import { types } from 'node:util';
import { headerEntries } from '@ws/node-io/internal';
import { endToEnd } from '../end-to-end.ts';
import { HandshakeError, type HeaderPair, serverFault } from '../errors.ts';
import { headerPairs } from '../headers.ts';
import type { AnyResponse } from '../is-response.ts';

/** Bytes of the body that are sent. */
const MAX_BODY = 64 * 1024;

type Wait = <T>(work: Promise<T>) => Promise<T>;

/**
 * Makes the refusal of a Response that `authenticate` has returned: its status, its headers and the
 * first 64 KiB of its body.
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

/** Reads the beginning of a body as text. One that fails, or was read before, ends there. */
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
