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
export {
  askOnStream,
  HeadersTooLarge,
  SharedSession,
  type StreamRequest,
  Unprocessed,
} from './http2/on-demand.ts';
export { openCarrier } from './open-carrier.ts';
export { checkProxy, type ProxyPlan } from './proxy/choose-proxy.ts';
export { deflateOffers } from './request.ts';
export { checkTls } from './tls/tls-options.ts';
export { parseTarget, type Target } from './url.ts';
