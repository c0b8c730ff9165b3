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
  type ConnCloseOptions,
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
  type MessageStreams,
  MessageWriter,
  type NextWriterOptions,
  PingMessage,
  type PingOptions,
  type PingPongHandler,
  PongMessage,
  PreparedMessage,
  ProtocolError,
  type ProtocolErrorCode,
  ReadLimitError,
  ReadPendingError,
  type Report,
  type ReportContext,
  type ReportedConn,
  type Role,
  type SchemaIssue,
  TextMessage,
  TimeoutError,
  type Transport,
  TransportError,
  type TransportSink,
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
  type Diagnostics,
  type MessageSeen,
  type ToDuplexOptions,
  toDuplex,
} from '@ws/node-io';
export type {
  ReconnectingCloseOptions,
  ReconnectingEnd,
  ReconnectingState,
  ReconnectingStats,
  ResendOptions,
  RetryDecision,
} from '@ws/reconnect';
export type { ClientConn, HandshakeResponse } from './client-conn.ts';
export type { CookieJar } from './cookies.ts';
export {
  Dialer,
  defaultDialer,
  dial,
} from './dialer.ts';
export { BadHandshakeError, type RefusedResponse } from './errors.ts';
export type { NetDial } from './guarded-stream.ts';
export type { DialerOptions, DialOptions, Http2Mode } from './options.ts';
export type { ProxyOption, ProxyRequest } from './proxy/choose-proxy.ts';
export { type Environment, proxyFromEnvironment } from './proxy/environment.ts';
export { ReconnectingConn, reconnecting } from './reconnecting/reconnecting.ts';
export type {
  FreshHeaders,
  FreshURL,
  ReconnectingConnOptions,
  ReconnectingOptions,
} from './reconnecting/reconnecting-options.ts';
export type { HeadersInput } from './request.ts';
export type { DialAddress } from './url.ts';
