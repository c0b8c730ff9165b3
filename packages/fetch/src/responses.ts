import { kind } from '@ws/conn/parts';

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

/** The Response itself, or a copy of the runtime's own class: Bun, Deno and Workers send no other. */
export async function ownResponse(response: Response): Promise<Response> {
  return response instanceof Response ? response : copyOf(response, await bodyOf(response));
}

/** A Response of the runtime's class, whose headers can be changed. */
export function copyOf(response: Response, body: Body): Response {
  const { status, statusText } = response;
  // An array keeps each `Set-Cookie`, and fits headers of any class.
  const headers = [...response.headers];
  return new Response(WITHOUT_BODY.includes(status) ? null : body, { status, statusText, headers });
}

async function bodyOf(response: Response): Promise<Body> {
  const { body } = response;
  // Ponyfills have no stream, or one of their own.
  if (body === undefined) return response.arrayBuffer();
  if (body === null || body instanceof ReadableStream) return body;
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
