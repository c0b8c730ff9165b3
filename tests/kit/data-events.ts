// Setup file of `pnpm long data-events`: takes from sockets the method that reads into a buffer of
// the caller. The self-test of the read buffer then fails, so all sockets use 'data' events.
import { once } from 'node:events';
import { createServer } from 'node:net';

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
let of = (server as unknown as { _handle: object })._handle;
while (!Object.hasOwn(of, 'useUserBuffer')) {
  of = Object.getPrototypeOf(of);
  // An earlier file of this worker has taken it.
  if (of === null) break;
}
if (of !== null) Reflect.deleteProperty(of, 'useUserBuffer');
server.close();
