/**
 * The errors, the types of messages and the rules of origins. As an entry of the build they get a file that the others
 * share: a page that uses no more of this package does not contain the codec.
 *
 * @module
 */
export { BackpressureError, ProtocolError, WebSocketError } from './errors.ts';
export { BinaryMessage, TextMessage } from './frames/opcode.ts';
export {
  isSameHost,
  NULL_ORIGIN,
  type Origin,
  parseAllowedOrigin,
  parseHostPort,
  parseOrigin,
  type SameHost,
} from './handshake/origin.ts';
export type { OwnedBytes } from './memory/owned-bytes.ts';
