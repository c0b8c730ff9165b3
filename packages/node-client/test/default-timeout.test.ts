import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Dialer, defaultDialer } from '../src/index.ts';
import { rawServer } from './servers.ts';

describe('the default handshakeTimeout', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([
    { of: 'a Dialer', dialer: new Dialer(), ms: 10_000 },
    { of: 'the defaultDialer', dialer: defaultDialer, ms: 45_000 },
  ])('of $of is $ms ms', async ({ dialer, ms }) => {
    let ask = (): void => {};
    const asked = new Promise<void>((resolve) => (ask = resolve));
    const server = await rawServer(() => ask());
    let over = false;
    const dial = dialer.dial(server.url).finally(() => {
      over = true;
    });
    const refused = expect(dial).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
    await asked;
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await refused;
    await server.gone();
  });
});
