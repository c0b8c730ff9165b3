import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { describe, expect, it, vi } from 'vitest';
import { type ClientSuiteOptions, runClientSuite, type SuiteReport } from '../../src/index.ts';
import { judged } from '../judged.ts';
import { lineOf } from './ask-client.ts';

/** The README's client. It uses `ws`, because Node 20 has no global WebSocket. */
const README = new URL('../../README.md', import.meta.url);
const SNIPPET = /```js\n([\s\S]*?)```/.exec(readFileSync(README, 'utf8'))?.[1] ?? '';
const WS = "import { WebSocket } from 'ws';\n";

const node = (code: string): string[] => [process.execPath, '--input-type=module', '-e', code];

const run = (code: string, options: ClientSuiteOptions): Promise<SuiteReport> =>
  runClientSuite(node(code), options);

describe.concurrent('runClientSuite', () => {
  it('passes the ten lines of the README', async () => {
    const report = await run(WS + SNIPPET, { only: ['1.1.*', '8.1.*', '8.16.*', '11.3.*'] });
    expect(report.results.filter(({ verdict }) => verdict !== 'pass').map(lineOf)).toEqual([]);
    expect(report.role).toBe('client');
    expect(report.counts.pass).toBe(report.results.length);
    expect(report.counts.pass).toBeGreaterThan(30);
  });

  it('replaces {url} in the command', async () => {
    const code = `${WS}new WebSocket('{url}/runCase?case=1').onmessage = (e) => e.target.send(e.data);`;
    const report = await runClientSuite([...node(code), 'last'], { only: ['1.1.3'] });
    expect(report.results.map(lineOf)).toEqual([
      '1.1.3 pass a text message of 2 bytes in one frame: ',
    ]);
  });

  it('starts a command for each case with the option each', async () => {
    const code = `${WS}new WebSocket(process.argv.at(-1)).onmessage = (e) => e.target.send(e.data);`;
    const report = await run(code, { only: ['1.1.3', '1.1.4', '8.2.9', '8.40'], each: true });
    expect(report.counts).toMatchObject({ pass: 9, fail: 0, 'non-strict': 0 });
  });

  it('reports the exit of a command that never connected', async () => {
    const code = "console.log('no such option'); process.exitCode = 3;";
    await expect(run(code, { only: ['1.1.3'] })).rejects.toMatchObject({
      code: 'NOT_ASKED',
      message: 'the command exited with code 3; last output: no such option',
    });
    const { results } = await run(code, { only: ['1.1.3'], each: true });
    expect(results[0]).toMatchObject({ verdict: 'fail' });
    expect(results[0]!.because[0]).toMatch(/^the client did not connect for this case: .*code 3/);
  });

  it('reports the fault of a malformed request', async () => {
    const code =
      "import { connect } from 'node:net'; const { hostname, port } = new URL(process.argv.at(-1));" +
      "connect(port, hostname).end('GET /runCase?case=1 HTTP/1.1\\r\\nno field\\r\\n\\r\\n');";
    const { results } = await run(code, { only: ['1.1.3'] });
    expect(results[0]!.because[1]).toBe(
      'a connection sent no valid request: "no field" is not an HTTP header line',
    );
  });

  const CRASHES_AT_RESETS = `${WS}
    const visit = (path) => new Promise((done) => {
      const socket = new WebSocket(process.argv.at(-1) + path);
      let last;
      socket.onmessage = ({ data }) => { last = data; socket.send(data); };
      socket.onclose = ({ code }) => {
        if (code === 1006) { console.log('oh no'); process.exit(5); }
        done(last);
      };
    });
    const count = Number(await visit('/getCaseCount'));
    for (let n = 1; n <= count; n++) await visit('/runCase?case=' + n);
    await visit('/updateReports');`;

  it('blames the case in which the client exits, and starts it again after it', async () => {
    const { results } = await run(CRASHES_AT_RESETS, {
      only: ['1.1.3', '7.17.3', '7.17.5', '9.1.1'],
    });
    expect(results.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual([
      '1.1.3 pass',
      '7.17.3 fail',
      '7.17.5 fail',
      '9.1.1 pass',
    ]);
    expect(results[1]!.because[0]).toMatch(
      /exited during this case: .* code 5; last output: oh no/,
    );
  });

  it('asks the exit code whether the client survived the last case', async () => {
    const { results } = await run(CRASHES_AT_RESETS, { only: ['7.17.3'] });
    expect(results[0]).toMatchObject({ verdict: 'fail' });
    expect(results[0]!.because[0]).toMatch(/did not survive this case: .* code 5/);
  });

  it.each([
    ['process.kill(process.pid, "SIGABRT")', 'fail', /did not survive/],
    ['process.exit(5)', 'advice', /may be a crash/],
    ['process.exit()', 'pass', undefined],
  ] as const)('judges a client of one case that ends with %s', async (end, verdict, because) => {
    const code = `${WS}const socket = new WebSocket(process.argv.at(-1));
      socket.onmessage = ({ data }) => socket.send(data);
      socket.onerror = () => {};
      socket.onclose = () => ${end};`;
    const { results } = await run(code, { only: ['7.17.3'], each: true });
    expect(results[0]).toMatchObject({ verdict });
    expect(results[0]!.because[0] ?? '').toMatch(because ?? /^$/);
  });

  it('skips a case about all connections when there are too few', async () => {
    const code = `${WS}new WebSocket(process.argv.at(-1)).onmessage = (e) => e.target.send(e.data);`;
    const { results } = await run(code, { only: ['11.5.3'], each: true });
    expect(results.map(({ verdict }) => verdict)).toEqual(['skipped']);
    expect(results[0]!.because[0]).toBe(
      'connections with masked frames so far: 1, and the case needs 32; run more cases',
    );
  });

  it('skips the cases after the first that a client does not ask for', async () => {
    const code = `${WS}new WebSocket(process.argv.at(-1) + '/updateReports');`;
    const { counts } = await run(code, { only: ['1.1'] });
    expect(counts).toMatchObject({ fail: 1, skipped: 14 });
  });

  it('describes a case and sends its status, like the Autobahn suite', async () => {
    const code = `${WS}
      const visit = (path) => new Promise((done) => {
        let last;
        const socket = new WebSocket(process.argv.at(-1) + path);
        socket.onmessage = ({ data }) => { last = data; if (path.startsWith('/run')) socket.send(data); };
        socket.onerror = () => {};
        socket.onclose = () => done(last);
      });
      const info = await visit('/getCaseInfo?case=1');
      const before = await visit('/getCaseStatus?case=1');
      await visit('/runCase?case=1&agent=x');
      const after = await visit('/getCaseStatus?case=1');
      await visit('/elsewhere');
      await visit('/updateReports?agent=x');
      console.log([info, before, after].join(' '));
      process.exitCode = 9;`;
    const { results } = await run(code, {
      only: ['1.1.3', '1.1.4'],
    });
    expect(results.map(({ verdict }) => verdict)).toEqual(['pass', 'fail']);
    expect(results[1]!.because[0]).toContain(
      '{"id":"1.1.3","description":"a text message of 2 bytes in one frame"} {} {"behavior":"OK"}',
    );
  });

  it.each([false, true])(
    'tries no case when the command does not start, each: %s',
    async (each) => {
      const seen: string[] = [];
      const onResult = ({ id }: { id: string }): number => seen.push(id);
      await expect(runClientSuite(['./no-such-client'], { each, onResult })).rejects.toMatchObject({
        code: 'NOT_ASKED',
        message: 'spawn ./no-such-client ENOENT',
      });
      expect(seen).toEqual([]);
    },
  );

  it('terminates a command that hangs after a case, and starts it again', async () => {
    const code = `${WS}new WebSocket(process.argv.at(-1) + '/runCase?case=1').onmessage = (e) =>
      e.target.send(e.data);
      setInterval(() => {}, 1e6);`;
    const { results } = await run(code, { only: ['1.1.3', '1.1.4'], timeout: 1_000 });
    expect(results.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual([
      '1.1.3 advice',
      '1.1.4 pass',
    ]);
    expect(results[0]!.because).toEqual([
      expect.stringMatching(/^after this case, the client stopped connecting/),
    ]);
  });

  it('terminates a command that connects for no case', async () => {
    const code = `${WS}new WebSocket(process.argv.at(-1) + '/getCaseCount'); setInterval(() => {}, 1e6);`;
    const { results } = await run(code, { only: ['7.1.1', '1.1.3'], timeout: 300 });
    expect(results.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual([
      '1.1.3 fail',
      '7.1.1 skipped',
    ]);
    expect(results[0]!.because.join()).toMatch(/stopped connecting/);
  });

  it('terminates the children of the command', async () => {
    const mark = `of ${process.pid}`;
    const code = `${WS}process.on('SIGTERM', () => {});
      new WebSocket(process.argv.at(-1) + '/runCase?case=1'); setInterval(() => {}, 1e6, '${mark}');`;
    const shell = ['sh', '-c', '"$@"; true', 'sh', ...node(code)];
    const asking = { only: ['1.1.3'], timeout: 300 };
    const results = await judged(async () => (await runClientSuite(shell, asking)).results);
    expect(results.map(({ verdict }) => verdict)).toEqual(['fail']);
    // A process may end a moment after its SIGKILL.
    const listed = (): string => execFileSync('ps', ['axww'], { encoding: 'utf8' });
    await vi.waitFor(() => expect(listed()).not.toContain(mark), 60_000);
  });
});
