import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { types } from 'node:util';
import { kind } from '@ws/conn/internal';

/** Fields that the connection and the body decide, not the headers of a Response. */
const OWN_FIELDS = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Sends a Response, as fast as the client reads it. A body that fails before its head is answered with
 * 500. Later it destroys the response, so that the client sees that it is incomplete.
 *
 * @param report - Gets the error of the body.
 * @returns Resolves when the head is sent. The body may take longer.
 */
export async function sendResponse(
  res: ServerResponse,
  response: Response,
  report: (error: unknown) => void,
): Promise<void> {
  try {
    const { body } = response;
    if (body?.locked) {
      throw new TypeError(
        'fetch: the body of the Response was sent before, or is locked; create a Response for each request',
      );
    }
    if (body !== null && res.req.method !== 'HEAD') {
      return await sendBody(res, response, body, report);
    }
    sendWithoutBody(res, response);
    // With a reader, the body stays locked.
    body?.getReader().cancel().catch(report);
  } catch (error) {
    report(error);
    refuseRequest(res, 500, 'Internal Server Error');
  }
}

/** Answers with a line of text, and ends the connection. */
export function refuseRequest(res: ServerResponse, status: number, text: string): void {
  const body = text && `${text}\n`;
  // A head that could not be sent may have left its reason and its length.
  res.writeHead(status, STATUS_CODES[status], {
    Connection: 'close',
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'Content-Length': Buffer.byteLength(body),
  });
  res.end(body);
}

/** Drops a Response after its client has left: the application's stream learns it. */
export function dropResponse({ body }: Response): void {
  if (!body?.locked) body?.cancel().catch(() => {});
}

/** The responses of a connection that are not sent. */
const pending = new WeakMap<Duplex, Set<ServerResponse>>();

/** Closes a queued response with its socket. Node closes only the response that is being sent. */
export function closeWithSocket(res: ServerResponse): void {
  const { socket } = res.req;
  const known = pending.get(socket);
  const all = known ?? new Set();
  all.add(res);
  res.once('close', () => all.delete(res));
  if (known !== undefined) return;
  pending.set(socket, all);
  socket.once('close', () => {
    for (const each of all) if (each.socket === null) each.destroy().emit('close');
  });
}

function sendWithoutBody(res: ServerResponse, response: Response): void {
  writeHead(res, response, lengthWithoutBody(res, response));
  res.end();
}

/** @see RFC 9110, sections 8.6 and 15.3.6 */
function lengthWithoutBody(
  { req }: ServerResponse,
  { body, headers, status }: Response,
): string | undefined {
  if (status === 204) return undefined;
  if (status === 205 || (status !== 304 && req.method !== 'HEAD')) return '0';
  // As for a GET without a condition.
  const length = body === null ? headers.get('content-length') : null;
  return length !== null && /^\d+$/.test(length) ? length : undefined;
}

async function sendBody(
  res: ServerResponse,
  response: Response,
  body: ReadableStream<Uint8Array>,
  report: (error: unknown) => void,
): Promise<void> {
  const reader = body.getReader();
  res.once('close', () => void reader.cancel().catch(() => {}));
  let next = reader.read();
  const first = await inThisTurn(next);
  if (first?.done === false) next = reader.read();
  if (first && (first.done || (await inThisTurn(next))?.done)) {
    const bytes = chunkOf(first.value ?? '');
    writeHead(res, response, Buffer.byteLength(bytes));
    return void res.end(bytes);
  }
  const start = first && chunkOf(first.value);
  // The header of the application may belong to a body that it has changed.
  writeHead(res, response);
  res.flushHeaders();
  const rest = async (): Promise<void> => {
    if (start) await send(res, start);
    for (;;) {
      const { done, value } = await next;
      if (done || res.destroyed) break;
      await send(res, chunkOf(value));
      next = reader.read();
    }
    res.end();
  };
  rest().catch((error: unknown) => {
    report(error);
    // Without the error: Node would emit it as 'clientError'.
    res.destroy();
  });
}

/** Resolves when `res` takes more, or has closed. */
async function send(res: ServerResponse, chunk: string | Uint8Array): Promise<void> {
  if (res.destroyed || res.write(chunk)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      res.off('drain', done).off('close', done);
      resolve();
    };
    res.once('drain', done).once('close', done);
  });
}

/** @throws TypeError for a chunk of a stream that cannot be sent. */
function chunkOf(value: unknown): string | Uint8Array {
  if (typeof value === 'string' || types.isUint8Array(value)) return value;
  throw new TypeError(`fetch: expected a Uint8Array as a chunk of the body, got ${kind(value)}`);
}

/** The result of a read; undefined when it takes longer than this turn. */
function inThisTurn<T>(read: Promise<T>): Promise<T | undefined> {
  return Promise.race([read, setImmediate(undefined)]);
}

function writeHead(
  res: ServerResponse,
  { status, headers }: Response,
  length?: number | string,
): void {
  const fields: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    if (!OWN_FIELDS.has(name)) fields[name] = value;
  }
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) fields['set-cookie'] = cookies;
  if (length !== undefined) fields['content-length'] = String(length);
  res.writeHead(status, fields);
}
