// Servers of one process. `../servers.slow.test.ts` runs it.
import { upgrade } from '@ws/fetch';
import { bun } from '@ws/fetch/bun';
import { pages, ports, service } from './pages.mjs';

const local = { hostname: '127.0.0.1', port: 0, development: false };
const MIB = 2 ** 20;
const echo = (conn) => conn.receive((message) => conn.send(message));
const chat = (request, server) => upgrade(request, { server }, echo);

const servers = {
  service: { fetch: service },
  routes: { routes: { '/chat': chat }, ...bun(() => new Response('page')) },
  // `fetch` without a wrapper.
  unwrapped: { fetch: chat, websocket: bun().websocket },
  unwrappedWithoutServer: {
    fetch: (request) => upgrade(request, {}, echo),
    websocket: bun().websocket,
  },
  large: bun((request) => upgrade(request, { readLimit: 32 * MIB }, echo), {
    maxPayloadLength: 64 * MIB,
  }),
  // More than the default of `maxPayloadLength`.
  tooLarge: bun((request) => upgrade(request, { readLimit: 2 * MIB }, echo)),
  tooLargeUnwrapped: {
    fetch: (request, server) => upgrade(request, { server, readLimit: 2 * MIB }, echo),
    websocket: bun().websocket,
  },
  small: {
    fetch: chat,
    websocket: bun(undefined, { maxPayloadLength: 1000 }).websocket,
  },
  own: bun((request, server) => {
    const data = { conn: { socket: {} } };
    return server.upgrade(request, { data }) ? undefined : new Response('no');
  }),
  ownWithoutData: bun((request, server) =>
    server.upgrade(request) ? undefined : new Response('no'),
  ),
  forgotten: bun(async (request) => {
    await upgrade(request, {}, echo);
    return new Response('hello');
  }),
};

for (const [name, fetch] of Object.entries(pages)) servers[name] = bun(fetch);
for (const [name, options] of Object.entries(servers)) {
  ports[name] = Bun.serve({ ...local, ...options }).port;
  console.log(`${name} ${ports[name]}`);
}
console.log(`listening ${Bun.serve({ ...local, fetch: () => new Response('lives') }).port}`);
