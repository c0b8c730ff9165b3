import type { ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';

/** What the connection and the body decide, and not the headers of a Response. */
const OWN_FIELDS = new Set([
  'connection',
  'content-length',
  'keep-alive',
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
  res.writeHead(status, {
    Connection: 'close',
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
  });
  res.end(text && `${text}\n`);
}

function sendWithoutBody(res: ServerResponse, response: Response): void {
  const { body, headers, status } = response;
  // RFC 9110, section 8.6: that of the answer to a GET without a condition. A 204 has none.
  const ofOther = res.req.method === 'HEAD' || status === 304;
  const length = ofOther ? body === null && headers.get('content-length') : status !== 204 && '0';
  writeHead(res, response, length && /^\d+$/.test(length) ? length : undefined);
  res.end();
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
    const bytes = first.value ?? '';
    writeHead(res, response, Buffer.byteLength(bytes));
    return void res.end(bytes);
  }
  // The header of the application may be that of a body that it has changed.
  writeHead(res, response);
  res.flushHeaders();
  const rest = async (): Promise<void> => {
    if (first && !res.write(first.value)) await drained(res);
    for (;;) {
      const { done, value } = await next;
      if (done || res.destroyed) break;
      if (!res.write(value)) await drained(res);
      next = reader.read();
    }
    res.end();
  };
  rest().catch((error: unknown) => {
    report(error);
    res.destroy();
  });
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

/** Resolves when `res` takes more, or has closed. */
function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      res.off('drain', done).off('close', done);
      resolve();
    };
    res.once('drain', done).once('close', done);
  });
}
