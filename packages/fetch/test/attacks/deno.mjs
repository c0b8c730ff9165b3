import { deno } from '@ws/fetch/deno';
import app from './app.mjs';

const server = Deno.serve({ hostname: '127.0.0.1', port: 0, onListen() {} }, deno(app.fetch));
console.log(`listening ${server.addr.port}`);
