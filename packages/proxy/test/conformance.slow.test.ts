import { runServerSuite } from '@ws/conformance';
import { serve } from '@ws/node-server';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front } from './support.ts';

/** The first case of three sections of each chapter; `pnpm long proxy` sets PROXY_CASES=* for all. */
const CASES = (process.env['PROXY_CASES'] ?? '*.1.1,*.2.1,*.3.1').split(',');

describe.each(['frames', 'bytes'] as const)('ws-conform through a proxy, mode %s', (mode) => {
  nothingLeft();

  it('gives the same verdicts as without', { timeout: 1_200_000 }, async () => {
    const server = await serve(
      { port: 0, host: '127.0.0.1', readLimit: false, compression: 'takeover' },
      (conn) => conn.receive((message) => conn.writeMessage(message.type, message.data)),
    );
    whenOver(() => server.close({ timeout: 1 }));
    const { url, server: between } = await front(server.url, { mode });
    // A plain request is not the proxy's business.
    between.on('request', (_req, res) => void res.writeHead(426, { Upgrade: 'websocket' }).end());
    const verdicts = async (target: string): Promise<string[]> => {
      const { results } = await runServerSuite(target, { only: CASES, timeout: 20_000 });
      return results.map(({ id, verdict, because }) => `${id} ${verdict} ${because.join('; ')}`);
    };
    const direct = await verdicts(server.url);
    expect(direct.length).toBeGreaterThan(10);
    expect(await verdicts(url)).toEqual(direct);
  });
});
