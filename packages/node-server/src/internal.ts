/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export { refusalOf } from './acceptor.ts';
export { takeSocket } from './client-socket.ts';
export { GatheredBytes } from './early-bytes.ts';
export { serverFault, unexpectedResult } from './errors.ts';
export { giveBackPlainRequest } from './give-back-plain-request.ts';
export type { HandshakeWaits } from './handshake-waits.ts';
export { endToEnd, headerOf, headerPairs, mergeHeaders } from './headers.ts';
export { webSocketStreams } from './http2/on-demand.ts';
export { checkUpgraderOptions, pickUpgraderOptions, type UpgraderPlan } from './options.ts';
export { PendingWork } from './pending-work.ts';
export { plainRequestFault } from './plain-requests.ts';
export { admissionOf, admitWithPlan } from './policies/admit.ts';
export { Limits, type Reservation } from './policies/limits.ts';
export { IncomingFacts } from './request.ts';
export { Refusals } from './responder/refusals.ts';
export type { Responder } from './responder/responder.ts';
export { upgradeOfNode, upgradeOfStream } from './upgrade-listeners.ts';
export type { UpgradeRequest } from './upgrade-request.ts';
