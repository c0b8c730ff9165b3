export {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  type Compression,
  ContinuationFrame,
  type DeflateExtension,
  formatCloseMessage,
  isValidCloseCode,
  type MessageDeflate,
  type OwnedBytes,
  PingMessage,
  PongMessage,
  ProtocolError,
  type ProtocolErrorCode,
  type Role,
  TextMessage,
  WebSocketError,
} from '@ws/codec';
export { type BroadcastOptions, broadcast } from './broadcast.ts';
export type {
  ConnCloseOptions,
  NextWriterOptions,
  PingOptions,
  WriteOptions,
} from './call-options.ts';
export { Conn } from './conn.ts';
export type { ConnLike, MessageReaderLike, MessageWriterLike } from './conn-like.ts';
export { MessageWriter } from './connection/message-writer.ts';
export type { CloseHandler, PingPongHandler } from './control/control-handlers.ts';
export {
  BackpressureError,
  CloseError,
  CloseSentError,
  isCloseError,
  isUnexpectedCloseError,
  JSONError,
  ReadLimitError,
  ReadPendingError,
  type SchemaIssue,
  TimeoutError,
  TransportError,
  WriteClosedError,
} from './errors.ts';
export { joinMessages } from './join.ts';
export type { BufferPool } from './memory/write-memory.ts';
export { BorrowedMessage, type DataType, Message } from './message.ts';
export type { CompressionOptions } from './options/compression.ts';
export type { ConnOptions, ConnSettings, Heartbeat } from './options/conn-options.ts';
export type { CloseInfo, ConnState, ConnStats, Observer } from './platform/observer.ts';
export type { Platform } from './platform/platform.ts';
export { portablePlatform } from './platform/portable-platform.ts';
export type { RateLimit } from './rate-options.ts';
export type { SchemaOutput, StandardSchema } from './read/json.ts';
export { MessageReader } from './read/message-reader.ts';
export type { MessageStreams } from './read/message-streams.ts';
export type { MessageHandler } from './read/receive-call.ts';
export type { Report } from './report/report.ts';
export type { ReportContext, ReportedConn } from './report/report-text.ts';
export type { WaitOptions } from './time/wait.ts';
export type { Transport, TransportSink } from './transport.ts';
export { connPair, streamTransport } from './transports/on-demand.ts';
export type { ConnPairOptions } from './transports/pair.ts';
export type { ByteReadable, ByteWritable, StreamPair } from './transports/stream-transport.ts';
export type { MessageData } from './writing/payload.ts';
export { PreparedMessage } from './writing/prepared-message.ts';
