import { dial } from '@ws/node-client';
import { type Example, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('examples/proxy', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('proxy')));
  afterAll(() => example?.stop());

  it('gives each browser a cookie, and a backend that stays the same', async () => {
    const greetings = new Set<string>();
    for (let i = 0; i < 8; i++) {
      const page = await fetch(example.ws.replace('ws', 'http'));
      const Cookie = page.headers.get('set-cookie')!.split(';')[0]!;
      await page.text();
      const visits: string[] = [];
      for (let visit = 0; visit < 3; visit++) {
        const conn = await dial(example.ws, { headers: { Cookie } });
        visits.push((await conn.readMessage()).text());
        await conn.send('echo');
        expect((await conn.readMessage()).text()).toBe('echo');
        await conn.close();
      }
      expect(new Set(visits).size).toBe(1);
      greetings.add(visits[0]!);
    }
    expect([...greetings].every((text) => /^hello from (one|two)$/.test(text))).toBe(true);
  });

  it('ends with exit code 0 when a second signal comes while it closes', async () => {
    const conn = await dial(example.ws);
    // It does not answer the close frame, so the server waits.
    const closing = new Promise<void>((resolve) => {
      conn.setCloseHandler(() => {
        resolve();
        return new Promise(() => {});
      });
    });
    void conn.discardReads().catch(() => {});
    const end = example.stop();
    await closing;
    void example.stop();
    expect(await end).toBe(0);
    conn.terminate();
  });
});
