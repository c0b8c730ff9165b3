import type { IncomingMessage } from 'node:http';
import type { RequestFacts } from '@ws/codec';
import type { AppRequest } from './conn-handler.ts';
import type { Responder } from './responder/responder.ts';

/** A request, whatever has parsed it. */
export interface ServerRequest {
  /** For the application's functions. */
  readonly req: AppRequest;
  /** For the rules and the other steps of the handshake. */
  readonly facts: RequestFacts;
  /** The request of node:http, or one made of a stream; undefined when other code has parsed it. */
  readonly incoming: IncomingMessage | undefined;
  /** For the answer. */
  readonly responder: Responder;
}
