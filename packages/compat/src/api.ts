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

/**
 * Reads and writes `Sec-WebSocket-Extensions`.
 *
 * @example
 * ```ts
 * import { extension } from '@ws/compat';
 *
 * console.log(extension.format({ 'permessage-deflate': [{ server_no_context_takeover: true }] }));
 * ```
 */
const extension: { format: typeof format; parse: typeof parseExtensions } = {
  format,
  parse: parseExtensions,
};
/**
 * Reads `Sec-WebSocket-Protocol`.
 *
 * @example
 * ```ts
 * import { subprotocol } from '@ws/compat';
 *
 * console.log(subprotocol.parse('v2, v1')); // Set(2) { 'v2', 'v1' }
 * ```
 */
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

/**
 * A connection, and the class that `require` returns. Its methods, properties and events are those of
 * [ws](https://github.com/websockets/ws/blob/master/doc/ws.md#class-websocket).
 *
 * @example
 * ```ts
 * import { once } from 'node:events';
 * import { WebSocket, WebSocketServer } from '@ws/compat';
 *
 * const server = new WebSocketServer({ port: 0 });
 * server.on('connection', (ws) => ws.on('message', (data: Buffer) => ws.send(data)));
 * await once(server, 'listening');
 * const ws = new WebSocket(`ws://127.0.0.1:${(server.address() as { port: number }).port}`);
 * ws.on('open', () => ws.send('hello'));
 * const [data] = await once(ws, 'message');
 * console.log(String(data)); // hello
 * ws.close();
 * server.close();
 * ```
 */
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
export type { SendOptions } from './sender.ts';
export type { ServerOptions, VerifyClient, VerifyClientInfo } from './server-options.ts';
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
