import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocketServer } from 'ws';
import { run } from './run-command.ts';

/** Runs the cases about Host and missing fields against `ws`. Four fail, for two causes. */
async function askWs(...args: readonly string[]): Promise<{ code: number; out: string }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  onTestFinished(() => server.close());
  server.on('connection', (socket) =>
    socket.on('message', (data, binary) => socket.send(data, { binary })),
  );
  await once(server, 'listening');
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return run('server', url, '--only', '8.11', '--only', '8.12', ...args);
}

const TITLES = 'an invalid handshake: Host twice, the same; Host twice, different; an invalid Host';
const ACCEPTED = 'the server accepted the handshake with 101, expected a refusal';

it('prints weight, titles and causes of findings, the heaviest first', async () => {
  const { code, out } = await askWs();
  expect(code).toBe(1);
  expect(out.match(/^FAIL .*\n {2}weight: .*/gm)).toEqual([
    'FAIL 8.12.1 an invalid handshake: Host twice, the same\n  weight: security',
    'FAIL 8.11.1 an invalid handshake: no Host\n  weight: pedantry',
  ]);
  expect(out).toContain(`  3 cases: 8.12.1-3\n    ${TITLES}\n`);
  expect(out).toMatch(
    /\n {2}interoperability +0 +0 +0\n {2}security +1 +0 +0\n {2}pedantry +1 +0 +0\n/,
  );
  expect(out).toMatch(/: 6 passed, 4 failed \(2 causes\), 0 non-strict, 0 advice, 0 skipped\n$/);
});

it('names the cases of each finding in HTML, JUnit, JSON, annotations and the badge', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => join(folder, name);
  const files = ['--html', file('r.html'), '--junit', file('r.xml'), '--json', file('r.json')];
  const { out } = await askWs(...files, '--badge', file('r.svg'), '--github');
  const read = (name: string): string => readFileSync(file(name), 'utf8');
  expect(read('r.html')).toContain(
    `<span class="verdict fail">fail</span> <span class="weight">security</span> 3 cases: ${TITLES}<br>${ACCEPTED}</summary>`,
  );
  expect(read('r.html')).toContain(
    '<li><a href="#c8.12.2">8.12.2</a> an invalid handshake: Host twice, different</li>',
  );
  expect(read('r.xml')).toContain(
    `<failure message="${ACCEPTED}" type="security">finding 1 of 2: 8.12.1-3</failure>`,
  );
  const { causes, findings } = JSON.parse(read('r.json')) as Record<string, unknown>;
  expect(causes).toMatchObject({ fail: { interoperability: 0, security: 1, pedantry: 1 } });
  expect(findings).toMatchObject([
    { weight: 'security', because: [ACCEPTED], cases: [{ id: '8.12.1' }, {}, {}] },
    { weight: 'pedantry', cases: [{ title: 'an invalid handshake: no Host' }] },
  ]);
  expect(read('r.svg')).toContain('aria-label="RFC 6455: 1 security, 1 pedantry"');
  expect(out).toContain(`(RFC 9112%2C 3.2%2C security)::${TITLES}: ${ACCEPTED}\n`);
});
