import { rounds, selfSigned } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { runServerSuite, serverSuiteCases } from '../../src/index.ts';
import { judged } from '../judged.ts';
import { differences, skips } from './differences.ts';
import { HTTP2_FAULTS, type Http2Fault, naiveHttp2Server } from './naive-http2.ts';
import { askOverHttp2 } from './ours-over-http2.ts';

/** Large binary messages and fragments, whose bytes are in other messages as large. */
const AS_OTHERS: readonly string[] = ['9.2', '9.12', '9.13', '9.15'];

describe('the server suite over HTTP/2', { timeout: 600_000 }, () => {
  it('passes our server in clear, in all chapters', async () => {
    const exclude = rounds(AS_OTHERS, []);
    const report = await askOverHttp2({ exclude }, { http2: 'clear', compression: 'takeover' });
    expect(differences(report)).toEqual([]);
    expect(Object.keys(skips(report))).toEqual(['the URL is not wss:']);
  });

  it('passes our server over TLS, in chapters without large messages', async () => {
    const only = ['1.1', '2', '5', '7', '14', '15'];
    const report = await askOverHttp2({ only }, { tls: await selfSigned(), http2: true });
    expect(differences(report)).toEqual([]);
    expect(Object.keys(skips(report))).toEqual(['the case needs HTTP/1.1']);
  });

  it('passes a naive server', async () => {
    const server = await naiveHttp2Server();
    const report = await runServerSuite(server.url, {
      only: ['15'],
      // It reads no extensions.
      exclude: ['15.5'],
      http2: true,
      timeout: 10_000,
    });
    await server.close();
    expect(differences(report)).toEqual([]);
  });

  it.each(Object.entries(HTTP2_FAULTS))('reports a server that %s', async (fault, title) => {
    const [one] = serverSuiteCases(['15'], [], false, true).filter(
      (facts) => facts.title === title,
    );
    const server = await naiveHttp2Server(fault as Http2Fault);
    const asking = { only: [one!.id], http2: true, timeout: 3_000 };
    const results = await judged(async () => (await runServerSuite(server.url, asking)).results);
    await server.close();
    expect(results.map(({ verdict }) => verdict)).toEqual([
      one!.level === 'must' && fault !== 'resets each stream that fails' ? 'fail' : 'non-strict',
    ]);
  });
});
