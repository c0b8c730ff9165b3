import { kind } from '@ws/conn/internal';

/** Fields of a compressed body. */
const ENCODING_FIELDS = ['content-encoding', 'content-length'];

type Body = ConstructorParameters<typeof Response>[0];

/** Statuses of a Response that has no body. */
const WITHOUT_BODY = [101, 204, 205, 304];

/**
 * Whether a value from outside is a Response: of this realm, of another one, of undici, of a ponyfill,
 * or of a framework that has replaced the global class. `instanceof` does not know them.
 */
export function isResponse(value: unknown): value is Response {
  return kind(value) === 'Response' && typeof (value as Response).status === 'number';
}

/**
 * The Response itself, or a copy that the runtime can send: Bun, Deno and Workers send no other class
 * than their own. Of another server, by `fetch`, the body is decompressed, and the headers are not.
 */
export async function ownResponse(response: Response): Promise<Response> {
  const isDecoded = response.headers.has('content-encoding') && response.url;
  if (response instanceof Response && !isDecoded) return response;
  const copy = copyResponse(response, await bodyOf(response));
  if (isDecoded) for (const name of ENCODING_FIELDS) copy.headers.delete(name);
  return copy;
}

/** A Response of the runtime's class, with headers that can be changed. */
export function copyResponse(response: Response, body: Body): Response {
  const { status, statusText } = response;
  // An array keeps each `Set-Cookie`, and fits headers of any class.
  const headers = [...response.headers];
  const copied = WITHOUT_BODY.includes(status) ? null : body;
  const copy = new Response(copied, { status, statusText, headers });
  // The body is a stream now, for which Deno sends the header as it is.
  if (copied !== null) copy.headers.delete('content-length');
  return copy;
}

async function bodyOf(response: Response): Promise<Body> {
  const { body } = response;
  if (body === null || body instanceof ReadableStream) return body;
  // Ponyfills have another kind of stream, or none.
  if (typeof (body as Partial<ReadableStream> | undefined)?.getReader !== 'function') {
    return response.arrayBuffer();
  }
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
