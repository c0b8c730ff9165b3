import { deno } from '@ws/fetch/deno';
import app from './app.mjs';

const local = { hostname: '127.0.0.1', port: 0, onListen() {} };
console.log(`listening ${Deno.serve(local, deno(app.fetch)).addr.port}`);
