import { bun } from '@ws/fetch/bun';
import app from './app.mjs';

const local = { hostname: '127.0.0.1', port: 0 };
const server = Bun.serve({ ...local, ...bun(app.fetch) });
console.log(`listening ${server.port}`);
