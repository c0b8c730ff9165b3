import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Conn } from '@ws/conn';
import { dial } from '@ws/node-client';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { type Example, endsWithSilentClient, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const read = (file: string): string => readFileSync(join(import.meta.dirname, '..', file), 'utf8');
const ANSWER = read('README.md');

interface Sent {
  readonly text?: string;
  readonly position?: unknown;
  readonly complete?: boolean;
}

describe('examples/agent-stream', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('agent-stream', { WORD_MS: '5' })));
  afterAll(() => example?.stop());

  /** A page's connection, and its first message. */
  async function visit(run: string, since?: unknown): Promise<[Conn, Sent]> {
    const conn = await dial(example.ws);
    await conn.writeJSON({ run, since });
    return [conn, await conn.readJSON<Sent>()];
  }

  async function words(conn: Conn, count: number): Promise<{ text: string; position: unknown }> {
    let [text, position]: [string, unknown] = ['', undefined];
    for (let i = 0; i < count; i++) {
      const sent = await conn.readJSON<Sent>();
      text += sent.text!;
      ({ position } = sent);
    }
    return { text, position };
  }

  it('has at most 44 lines of code', () => {
    const [, script] = read('page.html').split(/<\/?script>/);
    const lines = `${read('server.ts')}${script}`.split('\n').map((line) => line.trim());
    const code = lines.filter((line) => line !== '' && !line.startsWith('//'));
    expect(code.length).toBeLessThanOrEqual(44);
  });

  it('gives a page that returns the rest of its run', async () => {
    const count = ANSWER.split(/(?<=\s)/).length;
    const [first, welcome] = await visit('7');
    expect(welcome).toEqual({ complete: true });
    const start = await words(first, 20);
    first.terminate();
    const [second, again] = await visit('7', start.position);
    expect(again).toEqual({ complete: true });
    const rest = await words(second, count - 20);
    expect(start.text + rest.text).toBe(ANSWER);
    await second.close();
    // A page that was loaded again.
    const [third] = await visit('7');
    expect((await words(third, count)).text).toBe(ANSWER);
    await third.close();
  });

  it('says that words are missing after a restart of the server', async () => {
    const [conn, welcome] = await visit('8', { epoch: 'of another process', offset: 3 });
    expect(welcome).toEqual({ complete: false });
    expect((await conn.readJSON<Sent>()).text).toBe('# ');
    await conn.close();
  });

  it('speaks a run once, also for two pages at once', async () => {
    const count = ANSWER.split(/(?<=\s)/).length;
    const pages = await Promise.all([visit('9'), visit('9')]);
    const texts = await Promise.all(pages.map(async ([conn]) => (await words(conn, count)).text));
    expect(texts).toEqual([ANSWER, ANSWER]);
    for (const [conn] of pages) await conn.close();
  });

  it('speaks at most 100 runs at once, and closes the others with 1013', async () => {
    const own = await startExample('agent-stream', { WORD_MS: '600000' });
    const conns = await Promise.all(Array.from({ length: 101 }, async () => dial(own.ws)));
    await Promise.all(conns.map((conn, i) => conn.writeJSON({ run: `many-${i}` })));
    for (const conn of conns) void conn.discardReads().catch(() => {});
    const { code } = await Promise.race(conns.map(({ closed }) => closed));
    expect(code).toBe(1013);
    await own.stop('SIGKILL');
  });

  it.skipIf(lacksChromium())('shows the answer in a page over http, as on a phone', async () => {
    const browser = await launchHeadlessShell(['--host-resolver-rules=MAP phone.test 127.0.0.1']);
    const page = await browser.newPage();
    await page.goto(`http://phone.test:${example.port}`);
    await page.locator('pre', { hasText: ANSWER.slice(-20).trim() }).waitFor();
    await browser.close();
  });

  it.skipIf(lacksChromium())('shows the answer in a page that was loaded again', async () => {
    const browser = await launchHeadlessShell();
    const page = await browser.newPage();
    await page.goto(example.url);
    const shown = (text: string): Promise<void> => page.locator('pre', { hasText: text }).waitFor();
    await shown('An agent answers');
    await page.reload();
    await shown(ANSWER.slice(-20).trim());
    expect(await page.textContent('pre')).toBe(ANSWER);
    await browser.close();
  });

  endsWithSilentClient(
    () => startExample('agent-stream'),
    async ({ ws }) => dial(ws),
  );
});
