export { nodeHost } from './node-host.ts';
export { type SocketTransportOptions, socketTransport } from './socket-transport.ts';
