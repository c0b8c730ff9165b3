/**
 * A WebSocket client for browsers: the methods of `Conn` over a page's WebSocket.
 *
 * @module
 */
export {
  BackpressureError,
  BinaryMessage,
  BorrowedMessage,
  CloseCode,
  CloseError,
  type CloseInfo,
  CloseSentError,
  type ConnCloseOptions,
  type ConnLike,
  type ConnState,
  type ConnStats,
  type DataType,
  isCloseError,
  isUnexpectedCloseError,
  JSONError,
  Message,
  type MessageData,
  type MessageHandler,
  type MessageReaderLike,
  type MessageStreams,
  type MessageWriterLike,
  type NextWriterOptions,
  type OwnedBytes,
  ReadLimitError,
  ReadPendingError,
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
export type {
  ReconnectingCloseOptions,
  ReconnectingEnd,
  ReconnectingState,
  ReconnectingStats,
  ResendOptions,
  RetryDecision,
} from '@ws/reconnect';
export { BrowserConn } from './browser-conn.ts';
export { dial, fromWebSocket } from './dial.ts';
export type { AliveOptions, DialOptions } from './dial-options.ts';
export { UnsupportedError } from './errors.ts';
export type { WholeMessageReader } from './message-reader.ts';
export type { GatheringWriter } from './message-writer.ts';
export type { BrowserConnOptions } from './options.ts';
export { ReconnectingConn, reconnecting } from './reconnecting.ts';
export type {
  FreshURL,
  ReconnectingConnOptions,
  ReconnectingOptions,
} from './reconnecting-options.ts';
export type {
  WebSocketConstructor,
  WebSocketEvent,
  WebSocketLike,
} from './web-types.ts';
