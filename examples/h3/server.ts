// A WebSocket and the routes of h3 on one port.
import process from 'node:process';
import { upgrade } from '@ws/fetch';
import { serveFetch } from '@ws/fetch/node';
import { H3 } from 'h3';

const app = new H3()
  .use((event) => void event.res.headers.set('x-served-by', 'h3'))
  .get('/', () => 'a page of h3\n')
  .get('/echo', (event) =>
    upgrade(event.req, {}, (conn) => conn.receive((message) => conn.send(message))),
  );
const server = await serveFetch((request) => app.fetch(request), {
  port: Number(process.env['PORT'] ?? 0),
  host: '127.0.0.1',
}).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
console.log(server.url.replace(/^ws/, 'http'));
