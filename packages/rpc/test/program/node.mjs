import { serveFetch } from '@ws/fetch/node';
import app from './app.mjs';

const server = await serveFetch(app.fetch, { host: '127.0.0.1', port: 0 });
console.log(`listening ${new URL(server.url).port}`);
