import { bun } from '@ws/fetch/bun';
import app from './app.mjs';

const server = Bun.serve({ hostname: '127.0.0.1', port: 0, ...bun(app.fetch) });
console.log(`listening ${server.port}`);
