export {
  type CompressionBackend,
  type CompressionSettings,
  compressionBackend,
  configureCompression,
  nodeDeflate,
} from './deflate/zlib-deflate.ts';
export type { Diagnostics, MessageSeen } from './diagnostics.ts';
export { nodePlatform } from './node-platform.ts';
export { type ReadBufferState, readBufferState } from './read-buffer.ts';
export { hasTransport, type SocketTransportOptions, socketTransport } from './socket-transport.ts';
