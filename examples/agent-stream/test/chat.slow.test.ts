import { join } from 'node:path';
import { connPair } from '@ws/conn';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { type Example, startProgram } from '@ws/tests/examples';
import { LOADER } from '@ws/tests/loader';
import type { UIMessageChunk } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chat } from '../chat/chat.ts';
import { transportOf } from '../chat/transport.ts';

const folder = join(import.meta.dirname, '..');
const plan = { trigger: 'submit-message', chatId: '1', messageId: undefined } as const;

describe('the transport of useChat', () => {
  /** Makes pieces of text until it is stopped. */
  function setUp() {
    const [client, server] = connPair();
    const log = { made: 0, ended: 0 };
    void chat.serve({
      async *ask({ messages }): AsyncGenerator<UIMessageChunk> {
        try {
          for (const { id } of messages) {
            while (id === 'endless' || log.made < 3) {
              log.made++;
              yield { type: 'text-delta', id, delta: String(log.made) };
            }
          }
        } finally {
          log.ended++;
        }
      },
    })(server);
    return { client, log, transport: transportOf(chat.connect(client, {})) };
  }
  const question = (id: string) => [{ id, role: 'user' as const, parts: [] }];

  it('hands out the pieces, then the end', async () => {
    const { transport } = setUp();
    const messages = question('short');
    const pieces = await transport.sendMessages({ ...plan, messages, abortSignal: undefined });
    const all: string[] = [];
    for await (const piece of pieces) if (piece.type === 'text-delta') all.push(piece.delta);
    expect(all).toEqual(['1', '2', '3']);
  });

  it.each(['abort', 'cancel'])('ends the generator by %s', async (how) => {
    const { transport, log } = setUp();
    const control = new AbortController();
    const messages = question('endless');
    const { signal: abortSignal } = control;
    const pieces = await transport.sendMessages({ ...plan, messages, abortSignal });
    const reader = pieces.getReader();
    await reader.read();
    const next = reader.read();
    if (how === 'cancel') {
      await reader.cancel();
      await next;
    } else {
      const why = new Error('enough');
      control.abort(why);
      await expect(Promise.all([next, reader.read()])).rejects.toBe(why);
    }
    await expect.poll(() => log.ended).toBe(1);
  });

  it('asks at the pace of the page', async () => {
    const { transport, log, client } = setUp();
    const messages = question('endless');
    await transport.sendMessages({ ...plan, messages, abortSignal: undefined });
    await client.ping();
    expect(log.made).toBe(0);
  });

  it('finds no answer of an earlier connection', async () => {
    expect(await setUp().transport.reconnectToStream({ chatId: '1' })).toBeNull();
  });
});

describe.skipIf(lacksChromium())('the page of useChat', () => {
  let example: Example;
  beforeAll(async () => {
    const env = { PORT: '0', WORD_MS: '100' };
    example = await startProgram([...LOADER, 'chat/server.ts'], folder, env);
  });
  afterAll(() => example?.stop());

  it('shows an answer until Stop, which stops the model, and the next one whole', async () => {
    const browser = await launchHeadlessShell();
    const page = await browser.newPage();
    await page.goto(example.url);
    await page.click('text=Ask');
    await page.locator('p', { hasText: 'The model answers word' }).waitFor();
    await page.click('text=Stop');
    await page.locator('output', { hasText: 'ready' }).waitFor();
    const stopped = await page.textContent('p:last-of-type');
    await expect.poll(() => example.output()).toContain('stopped');
    expect(await page.textContent('p:last-of-type')).toBe(stopped);
    expect(stopped!.length).toBeLessThan(200);
    await page.click('text=Ask');
    await page.locator('p', { hasText: /(?:The model answers word by word\. ){9}/ }).waitFor();
    await page.locator('output', { hasText: 'ready' }).waitFor();
    expect(await page.locator('p').count()).toBe(4);
    await browser.close();
  });
});
