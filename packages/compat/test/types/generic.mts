// Types that those of `@types/ws` lack: WebSocketServer is generic as Server is.
import type { IncomingMessage } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

class Mine extends WebSocket {
  extra = 1;
}

const wss: WebSocketServer<typeof Mine> = new WebSocketServer({ noServer: true, WebSocket: Mine });
wss.on('connection', (ws, req) => {
  const extra: number = ws.extra;
  const request: IncomingMessage = req;
  return [extra, request];
});
const [first] = wss.clients;
const extra: number | undefined = first?.extra;
const plain: WebSocketServer = new WebSocketServer({ noServer: true });
export { extra, plain };
