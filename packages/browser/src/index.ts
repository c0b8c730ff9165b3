/**
 * A WebSocket client for browsers: the methods of `Conn` over a page's WebSocket.
 *
 * @module
 */
export type {
  CloseInfo,
  ConnCloseOptions,
  ConnLike,
  ConnState,
  ConnStats,
  DataType,
  MessageData,
  MessageHandler,
  MessageReaderLike,
  MessageWriterLike,
  NextWriterOptions,
  OwnedBytes,
  SchemaIssue,
  SchemaOutput,
  StandardSchema,
  WaitOptions,
  WriteOptions,
} from '@ws/conn';
export {
  BackpressureError,
  BinaryMessage,
  BorrowedMessage,
  CloseCode,
  CloseError,
  CloseSentError,
  isCloseError,
  isUnexpectedCloseError,
  JSONError,
  Message,
  ReadLimitError,
  ReadPendingError,
  TextMessage,
  TimeoutError,
  TransportError,
  WebSocketError,
  WriteClosedError,
} from '@ws/conn/parts';
export type {
  ReconnectingCloseOptions,
  ReconnectingEnd,
  ReconnectingState,
  ReconnectingStats,
  ResendOptions,
  RetryDecision,
} from '@ws/conn/reconnecting';
export { BrowserConn } from './browser-conn.ts';
export { dial, fromWebSocket } from './dial.ts';
export type { AliveOptions, DialOptions } from './dial-options.ts';
export { UnsupportedError } from './errors.ts';
export type { WholeMessageReader } from './message-reader.ts';
export type { MessageStreams } from './message-streams.ts';
export type { GatheringWriter } from './message-writer.ts';
export type { BrowserConnOptions } from './options.ts';
export { reconnecting } from './reconnecting.ts';
export { ReconnectingConn } from './reconnecting-conn.ts';
export type {
  FreshURL,
  ReconnectingConnOptions,
  ReconnectingOptions,
} from './reconnecting-options.ts';
export type {
  StreamReadable,
  StreamWritable,
  WebSocketConstructor,
  WebSocketEvent,
  WebSocketLike,
  WebSocketStreamConstructor,
  WebSocketStreamLike,
} from './web-types.ts';
