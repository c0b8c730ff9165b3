// A proxy in a process of its own: `node proxy-process.ts TARGET MODE`.
import { createServer } from 'node:http';
import process from 'node:process';
import { createProxy, type Mode } from '../src/index.ts';

const [target, mode] = process.argv.slice(2);
const proxy = createProxy(target!, { mode: mode as Mode });
const server = createServer().on('upgrade', proxy.handler);
server.listen(0, '127.0.0.1', () => {
  process.send!((server.address() as { port: number }).port);
});
process.on('message', () => {
  process.send!(process.memoryUsage.rss());
});
