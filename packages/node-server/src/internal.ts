/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export { refusalOf } from './acceptor.ts';
export { endToEnd } from './end-to-end.ts';
export { ErrorReporter } from './error-reporter.ts';
export { serverFault, unexpectedResult } from './errors.ts';
export {
  GatheredBytes,
  type HandshakeWaits,
  takeSocket,
} from './handshake-waits.ts';
export { headerOf, headerPairs, mergeHeaders } from './headers.ts';
export { webSocketStreams } from './http2/http2-server.ts';
export { requestOfStream } from './stream-request.ts';
export { checkUpgraderOptions, pickUpgraderOptions, type UpgraderPlan } from './options.ts';
export { PendingWork } from './pending-work.ts';
export { plainRequestFault } from './plain-requests.ts';
export { giveBackPlainRequest } from './give-back-plain-request.ts';
export { admissionOf, admitWithPlan } from './policies/admit.ts';
export { Limits, type Reservation } from './policies/limits.ts';
export { requestOfNode } from './request.ts';
export { Refusals } from './responder/refusals.ts';
export type { Responder, ServerRequest } from './responder/responder.ts';
export { type Agreement, type Setup, UpgradeRequest } from './upgrade-request.ts';
