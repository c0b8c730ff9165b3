import { describe, expect, it } from 'vitest';
import { upgrade } from '../src/deno.ts';
import { FIELDS } from './serving.ts';

describe('N11 authenticate of upgrade without a return', () => {
  it.each([
    ['sync', () => undefined],
    ['async', async () => undefined],
  ])('refuses with 401 and is reported once, %s', async (_, authenticate) => {
    const reports: string[] = [];
    const report = (error: unknown): void => void reports.push(String(error));
    for (let i = 0; i < 3; i++) {
      const request = new Request('http://example.org/', { headers: FIELDS });
      const response = await upgrade(request, { authenticate, report }, () => {});
      expect(response.status).toBe(401);
    }
    expect(reports).toEqual([expect.stringContaining('authenticate returned undefined')]);
  });
});
