// Compiles with @types/ws and with the declarations of this package.
import WebSocket = require('ws');

const server: WebSocket.Server = new WebSocket.Server({ port: 0 });
const other: WebSocket.WebSocketServer = new WebSocket.WebSocketServer({ noServer: true });
server.on('connection', (ws: WebSocket, request) => ws.send(request.url ?? ''));
const client: WebSocket = new WebSocket('ws://x');
const named: WebSocket.WebSocket = client;
client.on('message', (data: WebSocket.RawData) => data);
const stream = WebSocket.createWebSocketStream(named, { encoding: 'utf8' });

export = { client, other, server, stream };
