import { type Conn, type RunningServer, type ServeOptions, serve } from '@ws/node-server';
import { serveRaw } from '@ws/node-server/raw';
import { selfSigned } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { runServerSuite, type SuiteReport } from '../../src/index.ts';
import { differences, skips } from './differences.ts';

const MIB = 1024 * 1024;
/** Timeout of a wait in ms: on a busy machine a large message takes seconds, and so does a request that arrives byte by byte. */
const BUSY = 30_000;

/** Chapters without large messages. */
const QUICK = ['1.1.*', '2.*', '5.*', '7.*'];
/** Chapters of compressed messages. */
const DEFLATE = ['12.*', '13.*'];
/** Chapters in which compression changes what is read or written. */
const COMPRESSED = ['1.*', '3.*', '6.*', ...DEFLATE];

type Serve = (options: object, handler: (conn: Conn) => unknown) => Promise<RunningServer>;

/** Why chapter 14 is skipped. */
const NO_TLS = 'the URL is not wss:';

async function askOurs(
  options: ServeOptions,
  only: readonly string[] = [],
  start: Serve = serve,
  floods = false,
): Promise<SuiteReport> {
  const server = await start({ host: '127.0.0.1', handshakeTimeout: BUSY, ...options }, (conn) =>
    conn.receive((message) => conn.writeMessage(message.type, message.data)),
  );
  try {
    return await runServerSuite(server.url, { only, timeout: BUSY, floods });
  } finally {
    await server.close({ timeout: 1 });
  }
}

describe('our server passes every case', { timeout: 300_000 }, () => {
  it('with its defaults', async () => {
    const report = await askOurs({});
    expect(differences(report)).toEqual([]);
    const reasons = Object.keys(skips(report));
    expect(reasons.filter((reason) => !reason.startsWith('the server declined'))).toEqual([NO_TLS]);
  });

  it('with context takeover', async () => {
    const report = await askOurs({ compression: 'takeover', readLimit: 32 * MIB }, COMPRESSED);
    expect(differences(report)).toEqual([]);
    expect(skips(report)).toEqual({});
  });

  it('with compression without context takeover', async () => {
    const report = await askOurs({ compression: true }, DEFLATE);
    expect(differences(report)).toEqual([]);
    expect(Object.keys(skips(report))).toEqual([
      'the target requires messages without context takeover',
    ]);
  });

  it('without node:http', async () => {
    const report = await askOurs({ compression: 'takeover' }, QUICK, serveRaw);
    expect(differences(report)).toEqual([]);
    expect(skips(report)).toEqual({});
  });

  it('in a flood', async () => {
    const report = await askOurs({}, ['9.19.1'], serve, true);
    expect(differences(report)).toEqual([]);
    expect(report.counts.pass).toBe(1);
  });

  it('over TLS', async () => {
    const { cert, key } = await selfSigned();
    const report = await askOurs({ tls: { cert, key } }, ['1.*', '5.*', '7.*', '8.*', '10.*']);
    expect(report.target).toMatch(/^wss:/);
    expect(differences(report)).toEqual([]);
    expect(report.counts.skipped).toBe(0);
  });
});
