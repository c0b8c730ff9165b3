import type { IncomingMessage } from 'node:http';
import type { RequestFacts } from '@ws/codec';
import type { Responder } from './responder/responder.ts';

/**
 * The request that the application's functions get: an IncomingMessage from node:http, the facts
 * of the head from a raw stream. The steps of a handshake only pass it on, so one type is enough
 * for the functions of both.
 */
export type AppRequest = IncomingMessage & RequestFacts;

/** A request, whatever has parsed it. */
export interface ServerRequest {
  /** For the application's functions. */
  readonly req: AppRequest;
  /** For the rules and the other steps of the handshake. */
  readonly facts: RequestFacts;
  /** The request of node:http; undefined when other code has parsed it. */
  readonly incoming: IncomingMessage | undefined;
  /** For the answer. */
  readonly responder: Responder;
}
