import { serveFetch } from '@ws/fetch/node';
import app from './app.mjs';

const local = { host: '127.0.0.1', port: 0 };
const server = await serveFetch(app.fetch, local);
const second = await serveFetch(app.fetch, {
  ...local,
  heartbeat: { interval: 500, timeout: 500 },
  compression: true,
  trustProxy: 1,
  allowedHosts: ['127.0.0.1'],
});
console.log(`second ${new URL(second.url).port}`);
console.log(`listening ${new URL(server.url).port}`);
