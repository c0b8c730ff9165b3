export {
  BackpressureError,
  BinaryMessage,
  BorrowedMessage,
  CloseCode,
  CloseError,
  type CloseHandler,
  type CloseInfo,
  CloseMessage,
  CloseSentError,
  Conn,
  type ConnSettings,
  type ConnState,
  type ConnStats,
  type DataType,
  formatCloseMessage,
  type Heartbeat,
  isCloseError,
  isUnexpectedCloseError,
  isValidCloseCode,
  Message,
  type MessageData,
  type MessageHandler,
  type Patience,
  PingMessage,
  type PingOptions,
  type PingPongHandler,
  PongMessage,
  ProtocolError,
  ReadLimitError,
  ReadPendingError,
  TextMessage,
  TimeoutError,
  TransportError,
  WebSocketError,
} from '@ws/conn';
export { isWebSocketUpgrade, subprotocols } from './check-request.ts';
export { HandshakeError, type HandshakeErrorOptions, type HeaderPair } from './errors.ts';
export type { HeadersInput } from './headers.ts';
export type { ClientAddress } from './limits.ts';
export type { Subprotocols } from './negotiate.ts';
export type { AuthOf, Refusal, UpgraderOptions } from './options.ts';
export type { CheckOrigin } from './origin.ts';
export { type ServeOptions, serve, type WebSocketServer } from './serve.ts';
export { type ConnHandler, type HandlerContext, Upgrader } from './upgrader.ts';
