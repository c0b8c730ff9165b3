export type {
  CloseHandler,
  CloseInfo,
  Conn,
  ConnState,
  ConnStats,
  DataType,
  Message,
  MessageData,
  MessageReader,
  MessageStreams,
  MessageWriter,
  PingPongHandler,
  Role,
  Transport,
} from '@ws/conn';
export type { Diagnostics, MessageSeen } from './diagnostics.ts';
export { toDuplex } from './duplex/on-demand.ts';
export type { ToDuplexOptions } from './duplex/to-duplex.ts';
export type { Http2TransportOptions } from './http2/http2-transport.ts';
export { http2Transport } from './http2/on-demand.ts';
export { nodePlatform } from './node-platform.ts';
export { type ReadBufferState, readBufferState } from './read-buffer.ts';
export { type SocketTransportOptions, socketTransport } from './socket-transport.ts';
export { hasTransport } from './transport-base.ts';
export {
  type CompressionBackend,
  type CompressionSettings,
  compressionBackend,
  configureCompression,
  nodeDeflate,
  type ZlibDeflate,
} from './zlib-deflate.ts';
