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
  isAccepted,
  ResponseBody,
} from './exchange.ts';
export { openCarrier } from './http2/session-pool.ts';
export { SharedSession } from './http2/shared-session.ts';
export {
  askOnStream,
  HeadersTooLarge,
  type StreamRequest,
  Unprocessed,
} from './http2/stream-handshake.ts';
export { checkProxy, type ProxyPlan } from './proxy/choose-proxy.ts';
export { deflateOffers } from './request.ts';
export { checkTls } from './tls/tls-options.ts';
export { parseTarget, type Target } from './url.ts';
