import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Dialer, dial } from '../src/index.ts';
import { iterate } from './reconnecting/iterating.ts';
import { rawServer } from './servers.ts';

describe('the default handshakeTimeout', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  type Dial = (url: string) => Promise<unknown>;

  it.each<[string, Dial]>([
    ['a Dialer', (url) => new Dialer().dial(url)],
    ['dial', dial],
    ['reconnecting', (url) => iterate(url, { retry: () => false }).next()],
  ])('of %s is 45 s', async (_, dialed) => {
    const ms = 45_000;
    let ask = (): void => {};
    const asked = new Promise<void>((resolve) => (ask = resolve));
    const server = await rawServer(() => ask());
    let over = false;
    const pending = dialed(server.url).finally(() => {
      over = true;
    });
    const refused = expect(pending).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
    await asked;
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await refused;
    await server.gone();
  });
});
