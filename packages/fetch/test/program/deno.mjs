import { deno } from '@ws/fetch/deno';
import app from './app.mjs';

const local = { hostname: '127.0.0.1', port: 0, onListen() {} };
const server = Deno.serve(local, deno(app.fetch));
const second = Deno.serve(local, deno(app.fetch, { idleTimeout: 1 }));
console.log(`second ${second.addr.port}`);
console.log(`listening ${server.addr.port}`);
