/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export {
  acceptKey,
  assertOption,
  isInstance,
  isThenable,
  typeName,
} from '@ws/node-io/internal';
export { ErrorReporter } from './error-reporter.ts';
export { serverFault, unexpectedResult } from './errors.ts';
export { GatheredBytes } from './gathered-bytes.ts';
export { type Handshake, releaseSocket, takeSocket } from './handshake.ts';
export { headerOf, headerPairs, mergeHeaders } from './headers.ts';
export { checkUpgraderOptions, type UpgraderPlan } from './options.ts';
export { giveBackPlainRequest } from './plain-upgrade.ts';
export { ErrorHook } from './policies/error-hook.ts';
export { Limits, type Reservation } from './policies/limits.ts';
export { isHost } from './policies/origin.ts';
export { requestOfNode } from './request.ts';
export { endFailedHandshake, refusalOf } from './responder/end-failed-handshake.ts';
export { ignore } from './responder/http-socket.ts';
export { endAnsweredSocket } from './responder/linger.ts';
export { Refusals } from './responder/refusals.ts';
export { linesOf, responseHead, switchingProtocols } from './response-head.ts';
export { type Agreement, type Setup, UpgradeRequest } from './upgrade-request.ts';
