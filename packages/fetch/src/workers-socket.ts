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

/**
 * Ends a pair when its Response was not sent within `ms`. The client has left before, or `fetch` has
 * returned another one. The runtime has no event for that.
 *
 * @param lost - Called then.
 */
export function endUnused(client: WorkerSocket, ms: number, lost: () => void): void {
  let isUsed = false;
  const accept = client.accept.bind(client);
  // A client of the application itself, such as a test, accepts it. The runtime allows that twice.
  client.accept = () => {
    isUsed = true;
    accept();
  };
  setTimeout(() => {
    if (isUsed) return;
    try {
      accept();
    } catch {
      // It was used in a Response.
      return;
    }
    lost();
    client.close();
  }, ms);
}

/** The client's address. Workers without a proxy of Cloudflare have it in `cf`, with its port. */
export function addressOf(request: Request): string | undefined {
  const { cf } = request as { cf?: { clientIp?: string } };
  // Without Cloudflare in front, the header is the client's own.
  return cf?.clientIp?.replace(/:\d+$/, '') ?? request.headers.get('cf-connecting-ip') ?? undefined;
}

/** The headers of the accepting answer. */
export function acceptingHeaders({ options }: Plan, subprotocol: string): Headers {
  const headers = new Headers(options.headers);
  if (subprotocol !== '') headers.set('Sec-WebSocket-Protocol', subprotocol);
  return headers;
}

/**
 * Answers the close of the peer. With a compatibility date before May 2026, the runtime leaves it to us.
 * The listener is made here, because the socket keeps all that the function around it contains.
 */
export function answerClose(socket: WorkerSocket): void {
  socket.addEventListener('close', ({ code, reason }) => closeSocket(socket, code, reason));
}

/**
 * Closes a connection that is open, or answers the peer that has closed it: with 1000 when no close
 * frame can have the code of the peer.
 */
export function closeSocket(socket: WorkerSocket, code = 1000, reason = ''): void {
  for (const each of [code, 1000]) {
    try {
      return socket.close(each, reason);
    } catch {
      // It has ended, or Workers refuse the code.
    }
  }
}
