import { describe, expect, it, onTestFinished } from 'vitest';
import { serve } from '../src/index.ts';

describe('N15 a Response from the option request', () => {
  it.each<[string, () => unknown]>([
    ['returned', () => new Response('page')],
    ['resolved', async () => new Response('page')],
  ])('%s answers with 500 and is reported', async (_, request) => {
    const reported: string[] = [];
    const server = await serve(
      {
        host: '127.0.0.1',
        request,
        report: (error) => void reported.push(String(error)),
      },
      () => {},
    );
    onTestFinished(async () => void (await server.close({ timeout: 1 })));
    const { status } = await fetch(server.url.replace('ws', 'http'));
    expect(status).toBe(500);
    expect(reported).toEqual([expect.stringContaining('take serveFetch')]);
  });
});
