// What the launcher of Vercel does, as @vercel/functions expects it: each upgrade calls Next as a GET,
// with a context that has the socket.
import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer, ServerResponse } from 'node:http';
import process from 'node:process';
import next from 'next';

const contexts = new AsyncLocalStorage();
globalThis[Symbol.for('@vercel/request-context')] = { get: () => contexts.getStore() };

// Next listens for upgrades on `httpServer`, and would end those of its routes.
const httpServer = createServer();
const dev = process.env.NODE_ENV !== 'production';
const app = next({ dev, dir: process.cwd(), httpServer });
await app.prepare();
const answer = app.getRequestHandler();

const http = createServer((req, res) => void answer(req, res));
http.on('upgrade', (req, socket, head) => {
  const upgradeWebSocket = () => ({ req, socket, head });
  contexts.run({ upgradeWebSocket }, () => void answer(req, new ServerResponse(req)));
});
http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${http.address().port}`));
