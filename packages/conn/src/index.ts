export {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  ContinuationFrame,
  formatCloseMessage,
  isValidCloseCode,
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
export type { CloseInfo, ConnState } from './close-info.ts';
export { Conn } from './conn.ts';
export type { ConnLike, MessageReaderLike, MessageWriterLike } from './conn-like.ts';
export { MessageWriter } from './connection/message-writer.ts';
export type { CloseHandler, PingPongHandler } from './control/control-frames.ts';
export type { CompressionOptions } from './deflate/settings.ts';
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
export type { BufferPool } from './memory/buffer-pool.ts';
export { BorrowedMessage, type DataType, Message } from './message.ts';
export type { MessageStreams } from './message-streams.ts';
export type { ConnOptions, ConnSettings, Heartbeat } from './options.ts';
export { type ConnPairOptions, connPair } from './pair.ts';
export {
  type DeflateJob,
  type Deflater,
  type DeflateSource,
  type History,
  type Inflater,
  InflateStatus,
} from './platform/deflate-engine.ts';
export type { Observer } from './platform/observer.ts';
export type { Platform } from './platform/platform.ts';
export { portablePlatform } from './portable-platform.ts';
export type { RateLimit } from './rate-option.ts';
export type { AutoResponse } from './read/auto-response.ts';
export { MessageReader } from './read/message-reader.ts';
export type { MessageHandler } from './read/receive-call.ts';
export type { SchemaOptions, ValueHandler } from './read/schema-reads.ts';
export type { SchemaOutput, StandardSchema } from './read/standard-schema.ts';
export type { Report } from './report/report.ts';
export type { ReportContext, ReportedConn } from './report/report-context.ts';
export type { ConnStats } from './stats.ts';
export {
  type ByteReadable,
  type ByteWritable,
  type StreamPair,
  streamTransport,
} from './stream-transport.ts';
export type { WaitOptions } from './time/wait.ts';
export type { Transport, TransportSink } from './transport.ts';
export type { MessageData } from './writing/payload.ts';
export { PreparedMessage } from './writing/prepared-message.ts';
