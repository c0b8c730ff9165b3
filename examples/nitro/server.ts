// What the server of Nitro does, without Nitro: h3, and the adapter of crossws.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { H3, toNodeHandler } from 'h3';
import wsAdapter from './crossws-node.ts';
import guard from './middleware/private.ts';
import echo from './routes/echo.ts';
import page from './routes/index.ts';

const app = new H3().use(guard).get('/', page).get('/echo', echo).get('/private/echo', echo);

const http = createServer(toNodeHandler(app));
const { handleUpgrade, close } = wsAdapter({
  resolve: async (request) => ((await app.fetch(request)) as { crossws?: object }).crossws ?? {},
});
http.on('upgrade', (req, socket, head) => void handleUpgrade(req, socket, head));
http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    http.close();
    void close();
    // Browsers open connections in advance. Without a request, those keep the server open.
    setTimeout(() => http.closeAllConnections(), 2_000).unref();
  });
}
