import { upgrade } from '@ws/fetch';
import { describe, expect, it } from 'vitest';

describe('an unknown option of upgrade', () => {
  it.each<[object, string]>([
    [{ maxPayload: 1 }, 'use readLimit'],
    [{ verifyClient: () => true }, 'use authenticate'],
    [{ cors: {} }, 'use allowedOrigins'],
    [{ rateLimit: 5 }, 'rate is an option of serve'],
    [{ rate: {} }, 'it is an option of serve'],
    [{ compression: true }, 'it is an option of serve and dial'],
    [{ highWatermark: 1 }, 'did you mean highWaterMark?'],
    [{ zap: 1 }, 'known options: server, authenticate, '],
  ])('%j has the cure: %s', async (options, cure) => {
    const [name] = Object.keys(options);
    const answer = upgrade(new Request('http://h/'), options, () => {});
    await expect(answer).rejects.toThrow(`upgrade: unknown option ${name}; ${cure}`);
  });
});
