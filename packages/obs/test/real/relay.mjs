// Connects a Unix socket to a port of 127.0.0.1: a Unix socket is reachable from another network namespace.
import { connect, createServer } from 'node:net';
import process from 'node:process';

const [path, port] = process.argv.slice(2);
createServer((near) => {
  const far = connect(Number(port), '127.0.0.1');
  near.pipe(far).pipe(near);
  near.on('error', () => far.destroy()).on('close', () => far.destroy());
  far.on('error', () => near.destroy()).on('close', () => near.destroy());
}).listen(path);
