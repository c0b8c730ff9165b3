import { deno } from '@ws/fetch/deno';
import app from './app.mjs';

Deno.serve(
  { hostname: '127.0.0.1', port: 0, onListen: ({ port }) => console.log(`listening ${port}`) },
  deno(app.fetch),
);
