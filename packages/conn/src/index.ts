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
export type { CloseInfo, ConnState } from './closing.ts';
export { Conn, type ConnStats, type PingOptions } from './conn.ts';
export type { CloseHandler, PingPongHandler } from './controls.ts';
export type { MessageData } from './data.ts';
export {
  BackpressureError,
  CloseError,
  CloseSentError,
  isCloseError,
  isUnexpectedCloseError,
  ReadLimitError,
  ReadPendingError,
  TimeoutError,
  TransportError,
} from './errors.ts';
export type { Host } from './host.ts';
export { BorrowedMessage, type DataType, Message } from './message.ts';
export { MessageReader } from './message-reader.ts';
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
export type { MessageHandler } from './reading.ts';
export type { Transport, TransportSink } from './transport.ts';
