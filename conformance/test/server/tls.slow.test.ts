import { serve } from '@ws/node-server';
import { selfSigned } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { runServerSuite, type SuiteReport, serverSuiteCases } from '../../src/index.ts';
import { judged } from '../judged.ts';
import { differences, skips } from './differences.ts';
import { naiveTlsServer, TLS_FAULTS, type TlsFault } from './naive-tls.ts';

/** Timeout of a wait in ms. */
const BUSY = 30_000;

async function reportOn(fault: TlsFault | undefined, only: string): Promise<SuiteReport> {
  const server = await naiveTlsServer(fault);
  try {
    return await runServerSuite(server.url, {
      only: [only],
      // On a busy machine a TLS handshake takes seconds. A planted fault costs the whole timeout.
      timeout: fault === undefined ? BUSY : 3000,
    });
  } finally {
    await server.close();
  }
}

describe('chapter 14 of the server suite', () => {
  it('passes a naive server behind TLS', async () => {
    const report = await reportOn(undefined, '14');
    expect(differences(report)).toEqual([]);
    expect(skips(report)).toEqual({});
  });

  it('passes our server', async () => {
    const { cert, key } = await selfSigned();
    const server = await serve({ host: '127.0.0.1', tls: { cert, key } }, (conn) =>
      conn.receive((message) => conn.writeMessage(message.type, message.data)),
    );
    const report = await runServerSuite(server.url, { only: ['14'], timeout: BUSY });
    await server.close({ timeout: 1 });
    expect(differences(report)).toEqual([]);
    expect(skips(report)).toEqual({});
  });

  it.each(Object.entries(TLS_FAULTS))('reports a server that %s', async (fault, title) => {
    const [one] = serverSuiteCases(['14']).filter((facts) => facts.title === title);
    const ask = async () => (await reportOn(fault as TlsFault, one!.id)).results;
    expect((await judged(ask)).map(({ verdict }) => verdict)).toEqual([
      one!.level === 'must' ? 'fail' : 'non-strict',
    ]);
  });

  it('is skipped without TLS', async () => {
    const server = await serve({ host: '127.0.0.1' }, (conn) =>
      conn.receive((message) => conn.writeMessage(message.type, message.data)),
    );
    const report = await runServerSuite(server.url, { only: ['14'], timeout: BUSY });
    await server.close({ timeout: 1 });
    expect(Object.keys(skips(report))).toEqual(['the URL is not wss:']);
  });
});
