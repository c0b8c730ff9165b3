// Servers of one process. `../servers.slow.test.ts` runs it.
import { serveFetch } from '@ws/fetch/node';
import { pages, ports, service } from './pages.mjs';

const local = { host: '127.0.0.1', port: 0 };

for (const [name, fetch] of Object.entries({ service, ...pages })) {
  ports[name] = Number(new URL((await serveFetch(fetch, local)).url).port);
  console.log(`${name} ${ports[name]}`);
}
const lives = await serveFetch(() => new Response('lives'), local);
console.log(`listening ${new URL(lives.url).port}`);
