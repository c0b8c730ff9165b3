import type { ServerResponse } from 'node:http';

/** What belongs to the connection, and not to a Response. */
const CONNECTION_FIELDS = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade']);

/** Writes the head of a Response. */
export function writeHead(res: ServerResponse, { status, headers }: Response): void {
  const fields: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    if (!CONNECTION_FIELDS.has(name)) fields[name] = value;
  }
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) fields['set-cookie'] = cookies;
  res.writeHead(status, fields);
}

/**
 * Writes the body of a Response, as fast as the client reads it. A body that fails destroys the
 * response, so that the client sees that it is incomplete.
 *
 * @throws (rejects with) the error of the body.
 */
export async function writeBody(res: ServerResponse, { body }: Response): Promise<void> {
  let stop = (): void => {};
  try {
    if (body === null || res.req.method === 'HEAD') {
      res.end();
      await body?.cancel();
      return;
    }
    // It throws when the body is locked.
    const reader = body.getReader();
    stop = () => void reader.cancel().catch(() => {});
    res.once('close', stop);
    for (;;) {
      const { done, value } = await reader.read();
      if (done || res.destroyed) break;
      if (!res.write(value)) await drained(res);
    }
    res.end();
  } catch (error) {
    res.destroy();
    throw error;
  } finally {
    res.off('close', stop);
  }
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
