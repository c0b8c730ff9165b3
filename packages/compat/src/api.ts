/**
 * The API of ws on the core of @ws. The contract is the documentation of ws and `@types/ws`.
 *
 * @module
 */
import { format, parse as parseExtensions } from './extension.ts';
import { PerMessageDeflate } from './permessage-deflate.ts';
import { Receiver } from './receiver.ts';
import { Sender } from './sender.ts';
import { createWebSocketStream } from './stream.ts';
import { parse as parseSubprotocols } from './subprotocol.ts';
import { WebSocket as Connection } from './websocket.ts';
import { WebSocketServer } from './websocket-server.ts';

/** Reads and writes `Sec-WebSocket-Extensions`. */
const extension: { format: typeof format; parse: typeof parseExtensions } = {
  format,
  parse: parseExtensions,
};
/** Reads `Sec-WebSocket-Protocol`. */
const subprotocol: { parse: typeof parseSubprotocols } = { parse: parseSubprotocols };

/** The parts of the API, which are properties of the class too. */
interface Parts {
  createWebSocketStream: typeof createWebSocketStream;
  extension: typeof extension;
  PerMessageDeflate: typeof PerMessageDeflate;
  Receiver: typeof Receiver;
  Sender: typeof Sender;
  Server: typeof WebSocketServer;
  subprotocol: typeof subprotocol;
  WebSocket: typeof Connection;
  WebSocketServer: typeof WebSocketServer;
}

/** The class that `require` returns. */
const WebSocket: typeof Connection & Parts = /* @__PURE__ */ Object.assign(Connection, {
  createWebSocketStream,
  extension,
  PerMessageDeflate,
  Receiver,
  Sender,
  Server: WebSocketServer,
  subprotocol,
  WebSocket: Connection,
  WebSocketServer,
});
type WebSocket = Connection;

export type { ClientOptions } from './client-options.ts';
export type { PerMessageDeflateOptions } from './permessage-deflate.ts';
export type { BinaryType, RawData } from './received-message.ts';
export type { ServerOptions, VerifyClient, VerifyClientInfo } from './server-options.ts';
export type { SendOptions } from './websocket.ts';
export {
  createWebSocketStream,
  extension,
  PerMessageDeflate,
  Receiver,
  Sender,
  subprotocol,
  WebSocket,
  WebSocketServer,
};
export default WebSocket;
