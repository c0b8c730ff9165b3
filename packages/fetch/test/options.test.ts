import { upgrade } from '@ws/fetch';
import { describe, expect, it } from 'vitest';
import { checkUpgradeOptions } from '../src/options.ts';

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

  // The table of cures would be a seventh of the bundle of a Worker.
  it('is named beside the known ones where a bundle has to be small', () => {
    const check = (): unknown => checkUpgradeOptions({ maxPayload: 1 } as object, Infinity);
    expect(check).toThrow('upgrade: unknown option maxPayload; known options: server, ');
  });
});
