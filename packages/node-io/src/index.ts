export {
  type CompressionBackend,
  type CompressionSettings,
  compressionBackend,
  configureCompression,
  nodeDeflate,
} from './deflate/zlib-deflate.ts';
export type { Diagnostics, MessageSeen } from './diagnostics.ts';
export { nodeHost } from './node-host.ts';
export { hasTransport, type SocketTransportOptions, socketTransport } from './socket-transport.ts';
