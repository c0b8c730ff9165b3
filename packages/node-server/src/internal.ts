/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export { readAuth, thrownByAuthenticate } from './authenticate.ts';
export {
  checkNoHeaderDropped,
  checkRequest,
  requestOfNode,
} from './check-request.ts';
export { ErrorReporter } from './error-reporter.ts';
export { serverFault, unexpectedResult } from './errors.ts';
export { Handshake, releaseSocket, takeSocket } from './handshake.ts';
export { isHttpReading } from './http-socket.ts';
export { Limits, type Reservation } from './limits.ts';
export { negotiateCompression } from './negotiate-compression.ts';
export { checkUpgraderOptions, type UpgraderPlan } from './options.ts';
export { endFailedHandshake, refusalOf } from './refusal/end-failed-handshake.ts';
export { ErrorHook } from './refusal/error-hook.ts';
export { endRefusedSocket } from './refusal/linger.ts';
export { Refusals } from './refusal/refusals.ts';
export { decodePath, pathForm, queryOf, rawPath } from './request-target.ts';
export type { ServerRequest } from './server-request.ts';
