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
  connPair,
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
  type ProtocolErrorCode,
  ReadLimitError,
  ReadPendingError,
  TextMessage,
  TimeoutError,
  type Transport,
  TransportError,
  type TransportSink,
  WebSocketError,
} from '@ws/conn';
export type { NetDial } from './connect.ts';
export type { CookieJar } from './cookies.ts';
export {
  type Dialed,
  Dialer,
  defaultDialer,
  dial,
  type HandshakeResponse,
} from './dialer.ts';
export { BadHandshakeError, type RefusedResponse } from './errors.ts';
export type { DialerOptions, DialOptions } from './options.ts';
export type { HeadersInput } from './request.ts';
export type { DialAddress } from './url.ts';
