/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export { Connector } from './connect.ts';
export { DialScope } from './dial-scope.ts';
export {
  Exchange,
  type ExchangeFailure,
  type FinalHead,
  isSuccess,
  MAX_INTERIM,
  ResponseBody,
} from './exchange.ts';
export type { GuardedStream } from './guarded-stream.ts';
export { acquireCarrier, poolKey, retire, SharedSession } from './http2/session-pool.ts';
export {
  HeadersTooLarge,
  Http1Required,
  headOn,
  openStream,
  type StreamRequest,
  Unprocessed,
} from './http2/stream-handshake.ts';
export { checkProxy, chooseProxy, type ProxyPlan } from './proxy/choose-proxy.ts';
export { deflateOffers } from './request.ts';
export { checkTls } from './tls/tls-options.ts';
export { parseTarget, type Target } from './url.ts';
