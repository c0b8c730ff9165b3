/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export { takeSocket } from './client-socket.ts';
export { GatheredBytes } from './early-bytes.ts';
export { serverFault, tryLater, unexpectedResult } from './errors.ts';
export { endToEnd, headerOf, headerPairs, mergeHeaders } from './headers.ts';
export { webSocketStreams } from './http2/on-demand.ts';
export { checkUpgraderOptions, pickUpgraderOptions } from './options.ts';
export { PendingWork } from './pending-work.ts';
export { giveBackPlainRequest, incomingFault } from './plain-requests.ts';
export { Limits } from './policies/limits.ts';
export { Refusals } from './responder/refusals.ts';
export { upgradeOfNode, upgradeOfStream } from './upgrade-listeners.ts';
export type { UpgradeRequest } from './upgrade-request.ts';
