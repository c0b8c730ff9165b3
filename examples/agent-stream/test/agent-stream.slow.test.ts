import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dial } from '@ws/node-client';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { type Example, endsWithSilentClient, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agent } from '../agent.ts';

const read = (file: string): string => readFileSync(join(import.meta.dirname, '..', file), 'utf8');

describe('examples/agent-stream', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('agent-stream', { WORD_MS: '20' })));
  afterAll(() => example?.stop());

  it('has at most 22 lines of code', () => {
    const lines = ['server.ts', 'page.js', 'agent.ts'].flatMap((file) => read(file).split('\n'));
    const code = lines.filter((line) => line.trim() !== '' && !line.startsWith('//'));
    expect(code.length).toBeLessThanOrEqual(22);
  });

  it('answers word by word, at the pace of its reader', async () => {
    const conn = await dial(example.ws);
    let answer = '';
    for await (const word of agent.connect(conn, {}).ask('one two three')) answer += `${word}|`;
    expect(answer).toBe('one |two |three|');
    await conn.close();
  });

  it('answers many at once, and each may stop', async () => {
    const conn = await dial(example.ws);
    const server = agent.connect(conn, {});
    for (let i = 0; i < 50; i++) {
      const loop = server.ask(`${i} words`);
      expect((await loop.next()).value).toBe(`${i} `);
      await loop.return?.();
    }
    await conn.close();
  });

  it.skipIf(lacksChromium())('shows the answer in a page, until a click', async () => {
    const browser = await launchHeadlessShell();
    const page = await browser.newPage();
    await page.goto(example.url);
    await page.locator('pre', { hasText: 'An agent repeats this. An' }).waitFor();
    await page.click('button');
    const stopped = await page.textContent('pre');
    await page.waitForTimeout(500);
    expect(await page.textContent('pre')).toBe(stopped);
    await page.reload();
    await page.locator('pre', { hasText: /(?:An agent repeats this\. ){9}/ }).waitFor();
    await browser.close();
  });

  endsWithSilentClient(
    () => startExample('agent-stream'),
    async ({ ws }) => dial(ws),
  );
});
