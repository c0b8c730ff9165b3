import type { PageSocket } from '@ws/browser/internal';
import type { Plan } from './options.ts';

/** The longest message that Workers take, in bytes. */
export const MAX_MESSAGE: number = 32 * 2 ** 20;

/** A WebSocket of a Worker. */
export interface WorkerSocket extends PageSocket {
  accept(): void;
  serializeAttachment(value: unknown): void;
  deserializeAttachment(): unknown;
}

declare const WebSocketPair: new () => { readonly 0: WorkerSocket; readonly 1: WorkerSocket };

/** The client's end, which goes into the Response, and the server's. */
export function webSocketPair(): [WorkerSocket, WorkerSocket] {
  return Object.values(new WebSocketPair()) as [WorkerSocket, WorkerSocket];
}

/** The client's address. Workers without a proxy of Cloudflare have it in `cf`, with its port. */
export function addressOf(request: Request): string | undefined {
  const { cf } = request as { cf?: { clientIp?: string } };
  return request.headers.get('cf-connecting-ip') ?? cf?.clientIp?.replace(/:\d+$/, '');
}

/** The headers of the accepting answer. */
export function acceptingHeaders({ options }: Plan, subprotocol: string): Headers {
  const headers = new Headers(options.headers);
  if (subprotocol !== '') headers.set('Sec-WebSocket-Protocol', subprotocol);
  return headers;
}
