import { bun } from '@ws/fetch/bun';
import app from './app.mjs';

const local = { hostname: '127.0.0.1', port: 0 };
const limit = { maxPayloadLength: 16 * 2 ** 20 };
const server = Bun.serve({ ...local, ...bun(app.fetch, limit) });
// Bun counts it in steps of four seconds, and never ends a connection before eight.
const options = { idleTimeout: 1, perMessageDeflate: true, ...limit };
const second = Bun.serve({ ...local, ...bun(app.fetch, options) });
console.log(`second ${second.port}`);
console.log(`listening ${server.port}`);
