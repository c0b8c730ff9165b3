import { describe, expect, it } from 'vitest';
import { runServerSuite, serverSuiteCases } from '../../src/index.ts';
import { run } from '../run-command.ts';
import { differences, skips } from './differences.ts';
import { naiveHttp2Server } from './naive-http2.ts';
import { askOverHttp2 } from './ours-over-http2.ts';

describe('the server suite over HTTP/2', () => {
  it('has chapter 15 instead of 8', () => {
    const chapters = (http2: boolean): Set<number> =>
      new Set(serverSuiteCases([], [], false, http2).map(({ chapter }) => chapter));
    expect([8, 15].filter((chapter) => chapters(true).has(chapter))).toEqual([15]);
    expect([8, 15].filter((chapter) => chapters(false).has(chapter))).toEqual([8]);
    expect(serverSuiteCases(['15'], [], false, true).length).toBeGreaterThanOrEqual(40);
  });

  it('passes our server in handshakes, and in a sample of the groups', async () => {
    const only = ['15', '1.1.1*', '2.1', '3.1', '4.1', '5.1', '7.1', '11.1', '12.1.1', '13.1.1'];
    const report = await askOverHttp2({ only });
    expect(differences(report)).toEqual([]);
    expect(skips(report)).toEqual({});
    expect(report.http2).toBe(true);
  });

  it('reports a fault with the command that runs its case again', async () => {
    const server = await naiveHttp2Server('ends the stream with the answer');
    const { code, out } = await run('server', server.url, '--http2', '--only', '15.1.1');
    await server.close();
    expect(code).toBe(1);
    expect(out).toContain('but: the answer ends the stream (RFC 8441, 5)');
    expect(out).toContain('request: :method CONNECT; :protocol websocket; :scheme http');
    expect(out).toMatch(/again: ws-conform server ws:\S+ --http2 --only 15\.1\.1 /);
  });

  it.each([
    [['--only', '15'], 'only cases over HTTP/2 match; add --http2'],
    [['--dump', '15.1.1'], 'only cases over HTTP/2 match; add --http2'],
    [['--only', '8.1', '--http2'], 'only cases over HTTP/1.1 match; remove --http2'],
    [['--only', '99', '--http2'], 'no case matches 99; see --list'],
  ])('rejects %j', async (args, error) => {
    expect(await run('server', 'ws://127.0.0.1:9', ...args)).toMatchObject({
      code: 2,
      error: `ws-conform: ${error}\n`,
    });
  });

  it('does not ask a server without WebSockets over HTTP/2', async () => {
    const server = await naiveHttp2Server('does not announce WebSockets');
    const { code, error } = await run('server', server.url, '--http2', '--only', '1.1.1');
    await server.close();
    expect(code).toBe(3);
    expect(error).toContain('SETTINGS_ENABLE_CONNECT_PROTOCOL 1 (RFC 8441, 3)');
    const report = await runServerSuite('ws://127.0.0.1:9', { http2: true, only: ['15.1.1'] });
    expect(report.counts.fail).toBe(1);
  });
});
