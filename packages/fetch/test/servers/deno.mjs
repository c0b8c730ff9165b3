// Servers of one process. `../servers.slow.test.ts` runs it.
import { upgrade } from '@ws/fetch';
import { deno } from '@ws/fetch/deno';
import { pages, ports, service } from './pages.mjs';

const local = { hostname: '127.0.0.1', port: 0, onListen() {} };
const echo = (conn) => conn.receive((message) => conn.send(message));

const servers = {
  service,
  wrapped: deno((request) =>
    request.headers.has('upgrade') ? upgrade(request, {}, echo) : new Response('page'),
  ),
  unwrapped: (request, _info) =>
    upgrade(request, {}, echo).catch((error) => new Response(error.message, { status: 500 })),
  forgotten: deno(async (request) => {
    await upgrade(request, {}, echo);
    return new Response('hello');
  }),
};

for (const [name, fetch] of Object.entries(pages)) servers[name] = deno(fetch);
for (const [name, fetch] of Object.entries(servers)) {
  ports[name] = Deno.serve(local, fetch).addr.port;
  console.log(`${name} ${ports[name]}`);
}
console.log(`listening ${Deno.serve(local, () => new Response('lives')).addr.port}`);
