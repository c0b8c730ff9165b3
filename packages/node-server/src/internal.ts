/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export {
  acceptKeyByCrypto,
  assertOption,
  isInstance,
  isThenable,
  typeName,
} from '@ws/node-io/internal';
export { refusalOf } from './acceptor.ts';
export { endToEnd, NEVER_FORWARDED } from './end-to-end.ts';
export { ErrorReporter } from './error-reporter.ts';
export { serverFault, unexpectedResult } from './errors.ts';
export {
  GatheredBytes,
  type HandshakeWaits,
  ignore,
  releaseSocket,
  takeSocket,
} from './handshake-waits.ts';
export { headerOf, headerPairs, mergeHeaders } from './headers.ts';
export { type StreamListener, webSocketStreams } from './http2/http2-server.ts';
export { heartbeatOf, watchResets } from './http2/session-guard.ts';
export { describeStreamRequest } from './http2/stream-request.ts';
export { checkUpgraderOptions, pickUpgraderOptions, type UpgraderPlan } from './options.ts';
export { PendingWork } from './pending-work.ts';
export { plainRequestFault, refuseFailedRequest } from './plain-requests.ts';
export { giveBackPlainRequest } from './plain-upgrade.ts';
export { admissionOf, admitWithPlan } from './policies/admit.ts';
export { Limits, type Reservation } from './policies/limits.ts';
export { isHost } from './policies/origin.ts';
export { requestOfNode } from './request.ts';
export { Refusals } from './responder/refusals.ts';
export type { Responder, ServerRequest } from './responder/responder.ts';
export { type Agreement, type Setup, UpgradeRequest } from './upgrade-checks.ts';
