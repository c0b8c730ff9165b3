import { type ServeOptions, serve } from '@ws/node-server';
import { selfSigned } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { runServerSuite, type SuiteReport } from '../../src/index.ts';
import { differences, skips } from './differences.ts';

const MIB = 1024 * 1024;

async function askOurs(options: ServeOptions, only: readonly string[] = []): Promise<SuiteReport> {
  const server = await serve({ host: '127.0.0.1', ...options }, (conn) =>
    conn.receive((message) => conn.writeMessage(message.type, message.data)),
  );
  try {
    return await runServerSuite(server.url, { only });
  } finally {
    await server.close({ timeout: 1 });
  }
}

// Every wait of the suite has a bound, which a busy machine must not come near.
describe('our own server keeps every rule', { timeout: 120_000 }, () => {
  it('with its defaults', async () => {
    const report = await askOurs({});
    expect(differences(report)).toEqual([]);
    const reasons = Object.keys(skips(report));
    expect(reasons.every((reason) => reason.startsWith('the server declined'))).toBe(true);
  });

  it('with compression that keeps the window', async () => {
    const report = await askOurs({ compression: 'takeover', readLimit: 32 * MIB });
    expect(differences(report)).toEqual([]);
    expect(skips(report)).toEqual({});
  });

  it('with compression of each message on its own', async () => {
    const report = await askOurs({ compression: true }, ['3.*', '12.*', '13.*']);
    expect(differences(report)).toEqual([]);
    expect(Object.keys(skips(report))).toEqual([
      'the target wants each message compressed on its own',
    ]);
  });

  it('over TLS', async () => {
    const { cert, key } = await selfSigned();
    const report = await askOurs({ tls: { cert, key } }, ['1.*', '5.*', '7.*', '8.*', '10.*']);
    expect(report.target).toMatch(/^wss:/);
    expect(differences(report)).toEqual([]);
    expect(report.counts.skipped).toBe(0);
  });
});
