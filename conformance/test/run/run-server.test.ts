import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runServerSuite, type SuiteReport } from '../../src/index.ts';
import { naiveServer } from '../server/naive-server.ts';

/** Runs a few cases by a proxy that opens a tunnel when `admits` does. */
async function runByProxy(admits: () => boolean): Promise<SuiteReport> {
  const server = await naiveServer();
  const proxy = createServer();
  proxy.on('connect', (_req, socket: Socket) => {
    socket.on('error', () => {});
    if (!admits()) return socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n');
    const target = connect(Number(new URL(server.url).port), '127.0.0.1');
    target.on('error', () => {});
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    return socket.pipe(target).pipe(socket);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(async () => {
    proxy.close().closeAllConnections();
    await server.close();
  });
  const url = new URL(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  return runServerSuite(server.url, { only: ['1.1'], proxy: url });
}

describe('runServerSuite', () => {
  it('asks a case without a connection again, alone', async () => {
    let asked = 0;
    const { results } = await runByProxy(() => ++asked > 5);
    expect(results.map(({ verdict }) => verdict)).toEqual(results.map(() => 'pass'));
  });

  it('fails the cases of a server that no connection reaches', async () => {
    let asked = 0;
    const { results } = await runByProxy(() => ++asked < 0);
    expect(new Set(results.map(({ verdict }) => verdict))).toEqual(new Set(['fail']));
    expect(asked).toBeGreaterThan(results.length);
  });
});
