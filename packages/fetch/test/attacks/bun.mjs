import { bun } from '@ws/fetch/bun';
import app from './app.mjs';

const local = { hostname: '127.0.0.1', port: 0 };
// Less than the default of `readLimit`.
const server = Bun.serve({ ...local, ...bun(app.fetch, { maxPayloadLength: 2 ** 19 }) });
console.log(`listening ${server.port}`);
