import { dial } from '@ws/node-client';
import { type Example, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

describe('examples/prometheus', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('prometheus')));
  afterAll(() => example?.stop());

  /** The samples about WebSockets. */
  async function scrape(): Promise<string[]> {
    const url = await vi.waitUntil(() => /^http:.*$/m.exec(example.output())?.[0], 60_000);
    const response = await fetch(url);
    expect(response.headers.get('content-type')).toContain('text/plain');
    return (await response.text()).split('\n').filter((line) => line.startsWith('ws_'));
  }

  it('counts connections, messages, ends and refusals', async () => {
    const conn = await dial(example.ws);
    await conn.send('hello');
    await conn.readMessage();
    expect(await scrape()).toEqual([
      'ws_messages_total{direction="in"} 1',
      'ws_messages_total{direction="out"} 1',
      'ws_message_bytes_total{direction="in"} 5',
      'ws_message_bytes_total{direction="out"} 5',
      'ws_connections 1',
      'ws_waiting_bytes 0',
    ]);
    await conn.close();
    for (const code of [3000, 4000, 4999]) await (await dial(example.ws)).close(code);
    const foreign = dial(example.ws, { headers: { Origin: 'https://example.org' } });
    await expect(foreign).rejects.toMatchObject({ status: 403 });
    expect(await scrape()).toEqual(
      expect.arrayContaining([
        'ws_closed_total{code="1000"} 1',
        'ws_closed_total{code="3000"} 3',
        'ws_refused_total{status="403"} 1',
        'ws_connections 0',
      ]),
    );
  });

  it('ends on SIGTERM with exit code 0', async () => {
    expect(await example.stop(), example.output()).toBe(0);
  });
});
