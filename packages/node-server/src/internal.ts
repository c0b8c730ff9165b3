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
export { requestOfNode } from './check-request.ts';
export { ErrorReporter } from './error-reporter.ts';
export { serverFault, unexpectedResult } from './errors.ts';
export { GatheredBytes } from './gathered-bytes.ts';
export { type Handshake, releaseSocket, takeSocket } from './handshake.ts';
export { headerOf, headerPairs, mergeHeaders } from './headers.ts';
export { ignore } from './http-socket.ts';
export { Limits, type Reservation } from './limits.ts';
export { checkUpgraderOptions, type UpgraderPlan } from './options.ts';
export { isHost } from './origin.ts';
export { giveBackPlainRequest } from './plain-upgrade.ts';
export { endFailedHandshake, refusalOf } from './refusal/end-failed-handshake.ts';
export { ErrorHook } from './refusal/error-hook.ts';
export { endAnsweredSocket } from './refusal/linger.ts';
export { Refusals } from './refusal/refusals.ts';
export { linesOf, responseHead, switchingProtocols } from './response-head.ts';
export { type Agreement, type Setup, UpgradeRequest } from './upgrade-request.ts';
