/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */

export { Connector } from './connect.ts';
export {
  Exchange,
  type FinalHead,
  isAccepted,
  ResponseBody,
} from './exchange.ts';
export {
  askOnStream,
  SharedSession,
  Unprocessed,
} from './http2/on-demand.ts';
export { openWithin } from './open-carrier.ts';
export { checkProxy } from './proxy/choose-proxy.ts';
export { deflateOffers } from './request.ts';
export { parseTarget } from './url.ts';
