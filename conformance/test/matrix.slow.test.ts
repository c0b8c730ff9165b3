import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@ws/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { run } from './run-command.ts';

const ONLY = ['--only', '1.1', '--only', '8.11', '--only', '8.12', '--only', '9.6'];

const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
const [ours, ws] = [join(folder, 'ours.json'), join(folder, 'ws.json')];

/** Writes a changed copy of the report on ws. */
function changed(name: string, change: (report: Record<string, unknown>) => void): string {
  const report = JSON.parse(readFileSync(ws, 'utf8')) as Record<string, unknown>;
  change(report);
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(report));
  return file;
}

/** The report as version 1 had it: without weights and findings. */
function toVersion1(report: Record<string, unknown>): void {
  report['version'] = 1;
  delete report['findings'];
  delete report['causes'];
  for (const one of report['results'] as { weight?: string }[]) delete one.weight;
}

beforeAll(async () => {
  const server = await serve({ host: '127.0.0.1' }, (conn) =>
    conn.receive((message) => conn.writeMessage(message.type, message.data)),
  );
  const http = createServer((_: IncomingMessage, response) => response.end());
  const peer = new WebSocketServer({ server: http });
  peer.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  await new Promise<void>((listening) => http.listen(0, '127.0.0.1', listening));
  const { port } = http.address() as { port: number };
  await run('server', server.url, ...ONLY, '--json', ours);
  await run('server', `ws://127.0.0.1:${port}`, ...ONLY, '--json', ws);
  await server.close({ timeout: 1 });
  for (const client of peer.clients) client.terminate();
  http.close();
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe('ws-conform matrix', () => {
  it('prints chapters and cases by target, the differing cases only', async () => {
    const { code, out, error } = await run('matrix', ours, ws);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out).toMatch(/^conformance of 2 servers: P pass, F fail, N non-strict, A advice, /);
    expect(out).toMatch(/\n {2}1 {2}ours: ws:\/\/127\.0\.0\.1:\d+, \d{4}-\d\d-\d\d\n/);
    expect(out).toMatch(/\n {2}causes by weight +1 +2\n {2}fail, interoperability +0 +0\n/);
    expect(out).toMatch(/\n {2}fail, security +0 +1\n {2}fail, pedantry +0 +1\n/);
    expect(out).toMatch(/\n {2}1 framing +15P +15P\n {2}8 handshake +10P +6P 4F\n/);
    expect(out).toMatch(/\n {2}8\.11\.1 +P +F +pedantry +an invalid handshake: no Host\n/);
    expect(out).toMatch(/\n {2}8\.12\.1-3 +P +F +security +an invalid handshake: Host twice, the/);
    expect(out).toMatch(/\n {2}9\.6\.1-15 +P +A +pedantry /);
    expect(out).not.toContain(' 1.1.1');
    expect(out).toMatch(/\n19 of 40 cases differ\n$/);
  });

  it('selects cases with --only and --exclude, and names targets by NAME=FILE', async () => {
    const words = [`this library=${ours}`, `ws 8=${ws}`];
    const { out } = await run('matrix', ...words, '--only', '8', '--exclude', '8.12');
    expect(out).toContain('  1  this library: ws:');
    expect(out).toContain('  2  ws 8: ws:');
    expect(out).toMatch(/\n1 of 7 cases differ\n$/);
  });

  it('reads reports of version 1, which have no weights', async () => {
    const old = changed('v1.json', toVersion1);
    const { code, out } = await run('matrix', ours, old);
    expect(code).toBe(0);
    expect(out).toMatch(/\n {2}8\.12\.1-3 +P +F +security /);
  });

  it('writes a page with the same letters, a filter and no external resource', async () => {
    const html = join(folder, 'matrix.html');
    expect(await run('matrix', ours, ws, '--html', html)).toMatchObject({
      code: 0,
      error: `wrote ${html}\n`,
    });
    const page = readFileSync(html, 'utf8');
    expect(page).toContain('<th scope="col">ours</th><th scope="col">ws</th>');
    expect(page).toMatch(/<th scope="row">8\.12\.1<\/th><td class="v pass" title="pass">P<\/td>/);
    expect(page).toMatch(
      /<td class="v fail" title="fail: the server accepted the handshake with 101, [^"]*">F<\/td>/,
    );
    expect(page.indexOf('id="differing"')).toBeLessThan(page.indexOf('id="same"'));
    expect(page).toContain('<b class="pass">6 P</b><b class="fail">4 F</b>');
    expect(page).toContain('name="differing" checked');
    expect(page).not.toMatch(/src=|@import|url\(/);
  });

  it.each([
    [[], /expected one report or more; see --help\n$/],
    [['/nowhere/x.json'], /ENOENT/],
    [[ours, '--json', 'x'], /--json does not apply to matrix\n$/],
    [[ours, '--only', '99'], /no report has a case that --only and --exclude select\n$/],
  ] as const)('exits with 2 for %j', async (args, says) => {
    const { code, out, error } = await run('matrix', ...args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(error).toMatch(says);
  });

  it('says which document it cannot read, and which versions it reads', async () => {
    const later = changed('later.json', (report) => {
      report['version'] = 3;
    });
    const client = changed('client.json', (report) => {
      report['role'] = 'client';
    });
    const broken = join(folder, 'broken.json');
    writeFileSync(broken, '{"version": 2, "role": "server", "results": [{}]}');
    const text = join(folder, 'text.json');
    writeFileSync(text, 'no report');
    const errorOf = async (...files: string[]): Promise<string> =>
      (await run('matrix', ...files)).error;
    expect(await errorOf(later)).toBe(
      `ws-conform: ${later} is a report of version 3; matrix reads versions 1 and 2\n`,
    );
    expect(await errorOf(text)).toBe(`ws-conform: ${text} is no report of --json\n`);
    expect(await errorOf(broken)).toBe(`ws-conform: ${broken} has results that are no cases\n`);
    expect(await errorOf(ours, client)).toBe(
      'ws-conform: ours is a server and client a client; make a matrix of each\n',
    );
  });
});
