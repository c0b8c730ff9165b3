export {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  formatCloseMessage,
  isValidCloseCode,
  PingMessage,
  PongMessage,
  ProtocolError,
  type ProtocolErrorCode,
  type Role,
  TextMessage,
  WebSocketError,
} from '@ws/codec';
export { addAbortListener, removeAbortListener } from './abort-listeners.ts';
export { type BroadcastOptions, broadcast } from './broadcast.ts';
export type { BufferPool } from './buffer-pool.ts';
export type { CloseInfo, ConnState } from './closing.ts';
export {
  Conn,
  type NextWriterOptions,
  type PingOptions,
  type WriteOptions,
} from './conn.ts';
export type { ConnStats } from './conn-stats.ts';
export type { CloseHandler, PingPongHandler } from './controls.ts';
export type { MessageData } from './data.ts';
export { deflateLimits } from './deflate/compression.ts';
export type { Compression, CompressionOptions } from './deflate/compression-options.ts';
export {
  CORRUPT as InflateCorrupt,
  type DeflateJob,
  type Deflater,
  type DeflateSource,
  DONE as InflateDone,
  FINAL as InflateFinal,
  type History,
  type Inflater,
  type InflateStatus,
  MORE as InflateMore,
  TOO_LONG as InflateTooLong,
} from './deflate/engine.ts';
export { historyBytesOf } from './deflate/engines.ts';
export {
  BackpressureError,
  CloseError,
  CloseSentError,
  isCloseError,
  isUnexpectedCloseError,
  JSONError,
  ReadLimitError,
  ReadPendingError,
  TimeoutError,
  TransportError,
  WriteClosedError,
} from './errors.ts';
export type { Host } from './host.ts';
export { joinMessages } from './join.ts';
export { BorrowedMessage, type DataType, Message } from './message.ts';
export { MessageReader } from './message-reader.ts';
export { MessageWriter } from './message-writer.ts';
export {
  type ConnOptions,
  type ConnSettings,
  connSettingNames,
  duration,
  type Heartbeat,
  resolveSettings,
} from './options.ts';
export { type ConnPairOptions, connPair } from './pair.ts';
export type { Patience } from './patience.ts';
export { portableHost } from './portable-host.ts';
export { PreparedMessage } from './prepared-message.ts';
export type { MessageHandler } from './reception.ts';
export type { SchemaOutput, StandardSchema } from './standard-schema.ts';
export type { Transport, TransportSink } from './transport.ts';
export type { Watch } from './watch.ts';
