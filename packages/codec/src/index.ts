export { CloseCode, isValidCloseCode } from './close-code.ts';
export { ProtocolError, type ProtocolErrorCode, WebSocketError } from './errors.ts';
export {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from './opcode.ts';
