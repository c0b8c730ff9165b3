import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { runServerSuite, type SuiteReport } from '../../src/index.ts';
import { type Difference, WS_DEFLATE_DIFFERENCES, WS_PLAIN_DIFFERENCES } from './ws-differences.ts';

/** Timeout of a wait in ms. The suite waits for half of it in about a hundred cases. */
const BUSY = 15_000;

async function askWs(perMessageDeflate: boolean, only: readonly string[]): Promise<SuiteReport> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
  server.on('connection', (socket) => {
    // ws closes the connection after an error, and throws without a listener.
    socket.on('error', () => undefined);
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    return await runServerSuite(`ws://127.0.0.1:${port}`, { only, timeout: BUSY });
  } finally {
    for (const client of server.clients) client.terminate();
    server.close();
  }
}

const found = ({ results }: SuiteReport): string[] =>
  results
    .filter(({ verdict }) => verdict !== 'pass' && verdict !== 'skipped')
    .map(({ id, verdict }) => `${id} ${verdict}`);

const known = (table: readonly Difference[]): string[] =>
  table.flatMap(({ cases, verdict }) => cases.map((id) => `${id} ${verdict}`));

describe('the package ws as a server', { timeout: 400_000 }, () => {
  it('differs only in the listed cases with compression', async () => {
    const report = await askWs(true, []);
    expect(found(report).toSorted()).toEqual(known(WS_DEFLATE_DIFFERENCES).toSorted());
  });

  it('differs only in the listed cases of the handshake without compression', async () => {
    const report = await askWs(false, ['8.*']);
    const ofHandshake = known(WS_PLAIN_DIFFERENCES).filter((id) => id.startsWith('8.'));
    expect(found(report).toSorted()).toEqual(ofHandshake.toSorted());
  });
});
