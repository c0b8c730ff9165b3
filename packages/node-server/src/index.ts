export {
  BackpressureError,
  BinaryMessage,
  BorrowedMessage,
  type BroadcastOptions,
  type BufferPool,
  broadcast,
  CloseCode,
  CloseError,
  type CloseHandler,
  type CloseInfo,
  CloseMessage,
  CloseSentError,
  type CompressionOptions,
  Conn,
  type ConnPairOptions,
  type ConnSettings,
  type ConnState,
  type ConnStats,
  connPair,
  type DataType,
  formatCloseMessage,
  type Heartbeat,
  isCloseError,
  isUnexpectedCloseError,
  isValidCloseCode,
  JSONError,
  joinMessages,
  Message,
  type MessageData,
  type MessageHandler,
  MessageReader,
  MessageWriter,
  type NextWriterOptions,
  PingMessage,
  type PingOptions,
  type PingPongHandler,
  PongMessage,
  PreparedMessage,
  ProtocolError,
  ReadLimitError,
  ReadPendingError,
  type Report,
  type ReportContext,
  type ReportedConn,
  type SchemaOutput,
  type StandardSchema,
  TextMessage,
  TimeoutError,
  TransportError,
  type WaitOptions,
  WebSocketError,
  WriteClosedError,
  type WriteOptions,
} from '@ws/conn';
export {
  type CompressionBackend,
  type CompressionSettings,
  compressionBackend,
  configureCompression,
} from '@ws/node-io';
export { isWebSocketUpgrade, subprotocols } from './check-request.ts';
export type {
  AuthenticateContext,
  ConnHandler,
  HandlerContext,
  Routes,
  UpgradeListener,
} from './conn-handler.ts';
export { HandshakeError, type HandshakeErrorOptions, type HeaderPair } from './errors.ts';
export type { HeadersInput } from './headers.ts';
export type { ClientAddress } from './limits.ts';
export type {
  AuthOf,
  Refusal,
  ServerReport,
  ServerReportContext,
  UpgraderOptions,
} from './options.ts';
export type { CheckOrigin, SameHost } from './origin.ts';
export type { NoParams, RouteParams } from './routes.ts';
export type { Subprotocols } from './select-subprotocol.ts';
export { serve, type WebSocketServer } from './serve.ts';
export type { RoutedServeOptions, ServeOptions } from './serve-options.ts';
export { Upgrader } from './upgrader.ts';
