// Compiles with @types/ws and with the declarations of this package.
import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import WebSocket, {
  type AddressInfo,
  type ClientOptions,
  type CloseEvent,
  createWebSocketStream,
  type Data,
  type ErrorEvent,
  type Event,
  type MessageEvent,
  type PerMessageDeflateOptions,
  type RawData,
  type Server,
  type ServerOptions,
  type VerifyClientCallbackAsync,
  type VerifyClientCallbackSync,
  WebSocketServer,
  WebSocket as Named,
} from 'ws';

class Mine extends WebSocket {
  id = 0;
}
class Request extends (await import('node:http')).IncomingMessage {
  user = '';
}

const verify: VerifyClientCallbackSync = (info) => info.secure && info.origin === '' && info.req.url === '/';
const later: VerifyClientCallbackAsync = (info, done) => done(info.secure, 401, 'no', { a: 'b' });
const deflate: PerMessageDeflateOptions = { threshold: 1, zlibDeflateOptions: { level: 1 }, concurrencyLimit: 1 };
const options: ServerOptions = { port: 0, perMessageDeflate: deflate, verifyClient: verify };
const server = new WebSocketServer(options, () => {});
const typed = new WebSocketServer<typeof Mine, typeof Request>({
  WebSocket: Mine,
  server: createServer({ IncomingMessage: Request }),
  verifyClient: later,
  handleProtocols: (protocols, request) => (request.user === '' ? false : [...protocols][0]!),
});
typed.on('connection', (ws, request) => {
  const id: number = ws.id;
  const user: string = request.user;
  ws.send(`${id}${user}`);
});
server.on('connection', function (ws, request) {
  const clients: Server['clients'] = this.clients;
  const url: string | undefined = request.url;
  ws.on('message', function (data, isBinary) {
    const raw: RawData = data;
    const binary: boolean = isBinary;
    this.send(raw as Buffer, { binary, compress: true, fin: true, mask: false }, (error) => error?.message);
  });
  ws.on('close', (code, reason) => code.toFixed() + reason.toString('hex'));
  ws.on('ping', (data) => data.length);
  ws.on('error', (error) => error.message);
  ws.on('unexpected-response', (req, res) => req.path + String(res.statusCode));
  ws.on('redirect', (to, req) => to + req.path);
  ws.on('upgrade', (response) => response.headers);
  ws.on('custom', (...args) => args.length);
  ws.once('open', () => clients.size + (url ?? '').length);
  ws.off('message', () => {});
  ws.removeListener('pong', (data) => data.length);
  ws.addListener('message', (data, isBinary) => [data, isBinary]);
});
server.once('headers', (headers, request) => headers.push(request.url ?? ''));
server.on('wsClientError', (error, socket, request) => [error.message, socket.end(), request.url]);
server.on('listening', () => {});
server.off('close', () => {});
server.on('error', (error) => error.message);
const address: AddressInfo | string | null = server.address();
server.handleUpgrade({} as IncomingMessage, {} as Duplex, Buffer.alloc(0), (ws, request) => ws.send(request.url ?? ''));
const handled: boolean | Promise<boolean> = server.shouldHandle({} as IncomingMessage);
server.close((error) => error?.message);

const client: ClientOptions = {
  headers: { a: 'b' },
  origin: 'x',
  followRedirects: true,
  handshakeTimeout: 1,
  maxPayload: 1,
  rejectUnauthorized: false,
  ca: 'x',
  generateMask: (mask) => mask.fill(0),
  finishRequest: (request, websocket) => [request.end(), websocket.url],
};
const ws = new WebSocket('ws://x', ['a'], client);
const others: WebSocket[] = [new Named(new URL('ws://x')), new WebSocket('ws://x', client), new WebSocket(null)];
ws.onopen = (event: Event) => event.target.close();
ws.onmessage = (event: MessageEvent) => {
  const data: Data = event.data;
  return data;
};
ws.onclose = (event: CloseEvent) => [event.code, event.reason, event.wasClean];
ws.onerror = (event: ErrorEvent) => [event.error, event.message];
ws.addEventListener('message', (event) => event.data, { once: true });
ws.addEventListener('close', { handleEvent: (event) => event.code });
const onOpen = (event: Event): string => event.type;
ws.removeEventListener('open', onOpen);
for (const data of ['x', 1, Buffer.from(''), new Uint8Array(), new ArrayBuffer(1), [1, 2], new DataView(new ArrayBuffer(1))]) {
  ws.send(data);
}
ws.send('x', (error) => error?.message);
ws.ping('x', true, (error) => error.message);
ws.pong();
ws.close(1000, Buffer.from('x'));
ws.terminate();
ws.pause();
ws.resume();
ws.binaryType = 'fragments';
const state: 0 | 1 | 2 | 3 = ws.readyState;
const open: boolean = ws.readyState === WebSocket.OPEN || ws.readyState === ws.CLOSED;
const facts: [string, string, string, number, boolean] = [ws.url, ws.protocol, ws.extensions, ws.bufferedAmount, ws.isPaused];
const stream: Duplex = createWebSocketStream(ws, { encoding: 'utf8' });
const wss: WebSocketServer = new WebSocketServer({ noServer: true });
const alias: WebSocket.ServerOptions | WebSocket.ClientOptions | WebSocket.RawData | undefined = undefined;

// @ts-expect-error: not a type of binary messages
ws.binaryType = 'text';
// @ts-expect-error: read only
ws.readyState = 1;
// @ts-expect-error: a server takes no such option
const wrong = new WebSocketServer({ prot: 1 });

export { address, alias, facts, handled, open, others, state, stream, wrong, wss };
