export type {
  ProtocolErrorCode,
  RequestFacts,
  SameHost,
} from '@ws/codec';
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
  type RateLimit,
  ReadLimitError,
  ReadPendingError,
  type Report,
  type ReportContext,
  type ReportedConn,
  type Role,
  type SchemaIssue,
  TextMessage,
  TimeoutError,
  TransportError,
  type WaitOptions,
  WebSocketError,
  WriteClosedError,
  type WriteOptions,
} from '@ws/conn';
export {
  type Admissible,
  type Admission,
  type AdmitOptions,
  admit,
  type RefuseOptions,
  type ResponseRefusal,
  refuse,
} from '@ws/conn/internal';
export {
  type CompressionBackend,
  type CompressionSettings,
  compressionBackend,
  configureCompression,
  type MessageSeen,
  type ToDuplexOptions,
  toDuplex,
} from '@ws/node-io';
export type { ServerStats } from './acceptor.ts';
export type { CloseOptions, CloseResult } from './close-options.ts';
export type {
  AuthenticateContext,
  ConnHandler,
  HandlerContext,
  UpgradeListener,
} from './conn-handler.ts';
export type { ServerReport, ServerReportContext } from './error-reporter.ts';
export { HandshakeError, type HandshakeErrorOptions, type HeaderPair } from './errors.ts';
export type { HeadersInput, HeadersOption } from './headers.ts';
export type { Http2Options, StreamListener } from './http2/http2-server.ts';
export type { UpgraderOptions } from './options.ts';
export type { PhaseChange, ServerPhase } from './phase.ts';
export type { AdmitOrRefuse, AuthOf, Refusal } from './policies/authenticate.ts';
export type { ClientAddress, TrustProxy } from './policies/client-address.ts';
export type { ErrorAnswer } from './policies/error-hook.ts';
export type { MaxLifetime } from './policies/lifetime.ts';
export type { Limit, LimitedClient } from './policies/limit-options.ts';
export type { CheckOrigin } from './policies/origin.ts';
export type { HandshakePace } from './policies/pace.ts';
export type { Subprotocols } from './policies/select-subprotocol.ts';
export { isWebSocketUpgrade, subprotocols } from './request.ts';
export type { Diagnostics, RefusedRequest } from './responder/refusals.ts';
export {
  type HandlerOrRoutes,
  type Route,
  type RouteOptions,
  type Routes,
  route,
} from './route.ts';
export type { NoParams, RouteParams } from './route-table.ts';
export { serve, type WsServer } from './serve.ts';
export type { ListenOptions, ServeOptions } from './serve-options.ts';
export type { RunningServer } from './server-base.ts';
export { type UpgradeOptions, Upgrader } from './upgrader.ts';
