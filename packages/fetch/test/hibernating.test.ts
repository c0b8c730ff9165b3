import { describe, expect, it, vi } from 'vitest';
import { hibernating } from '../src/hibernating.ts';

vi.mock('cloudflare:workers', () => ({ DurableObject: Object }));

describe('autoResponse of hibernating', () => {
  it.each([
    [{ request: 'ping' }, 'autoResponse.response: expected a string'],
    [{ request: 'ping', response: 'pong', again: 1 }, 'again'],
    ['ping', 'autoResponse'],
    // The runtime would throw in each constructor of the object.
    [{ request: 'x'.repeat(2_049), response: '' }, 'autoResponse.request: expected at most 2048'],
    [{ request: '', response: 'ä'.repeat(1_025) }, 'autoResponse.response: expected at most 2048'],
  ])('refuses %j', (autoResponse, message) => {
    expect(() => hibernating({ autoResponse: autoResponse as never })).toThrow(message);
  });

  it('may have 2048 bytes', () => {
    const text = 'ä'.repeat(1_024);
    expect(hibernating({ autoResponse: { request: text, response: text } })).toBeTypeOf('function');
  });
});
