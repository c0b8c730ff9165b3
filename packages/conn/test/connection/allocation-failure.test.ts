import { sharedMessageBuffers } from '@ws/codec';
import { FakePlatform } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { turns } from '../raw-pair.ts';
import { wired } from '../wired.ts';

// Memory that cannot be allocated ends one connection, and no exception reaches its transport.

afterEach(() => {
  vi.restoreAllMocks();
});

const failure = new RangeError('Array buffer allocation failed');

describe.each(['server', 'client'] as const)('a %s that cannot allocate memory', (role) => {
  it('for a message closes with 1011, and ends', async () => {
    const { conn, platform, transport, feed, frame, output } = wired(role);
    const read = conn.receive(() => {});
    await platform.settle();
    const whole = frame(2, Buffer.alloc(300_000));
    vi.spyOn(sharedMessageBuffers(), 'take').mockImplementation(() => {
      throw failure;
    });
    vi.spyOn(sharedMessageBuffers(), 'takeFree').mockImplementation(() => undefined);
    feed(whole.subarray(0, 100_000));
    feed(whole.subarray(100_000));
    vi.restoreAllMocks();
    expect(await output()).toEqual(['close 1011']);
    await expect(read).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', cause: failure });
    feed(frame(8, Uint8Array.of(3, 232)));
    transport.feedEnd();
    expect(await conn.closed).toMatchObject({
      code: 1011,
      wasClean: false,
      error: { cause: failure },
    });
  });

  it('is the only connection of its turn that ends', async () => {
    const platform = new FakePlatform();
    const broken = wired(role, {}, 0, platform);
    const healthy = wired(role, {}, 0, platform);
    broken.conn.receive(() => {}).catch(() => {});
    await platform.settle();
    const buffers = sharedMessageBuffers();
    const take = buffers.take.bind(buffers);
    const large = vi.fn(() => {
      throw failure;
    });
    vi.spyOn(buffers, 'take').mockImplementation((size) => (size < 65_536 ? take(size) : large()));
    vi.spyOn(buffers, 'takeFree').mockImplementation(() => undefined);
    broken.feed(broken.frame(2, Buffer.alloc(300_000)).subarray(0, 100_000));
    healthy.feed(healthy.frame(1, 'small'));
    await platform.settle();
    expect(large).toHaveBeenCalled();
    expect((await healthy.conn.readMessage()).text()).toBe('small');
    expect(broken.sent()).toEqual(['close 1011']);
  });

  it.each(['ping handler', 'close handler', 'none'] as const)(
    'for its close frame destroys the transport: %s',
    async (handler) => {
      const { conn, feed, frame, platform, transport, sent } = wired(role);
      const outOfMemory = async (): Promise<never> => {
        await turns();
        vi.stubGlobal(
          'Uint8Array',
          new Proxy(Uint8Array, {
            construct() {
              throw failure;
            },
          }),
        );
        throw new Error('a bug');
      };
      if (handler === 'none') {
        void conn.receive(() => outOfMemory());
      } else {
        conn.setPingHandler(outOfMemory);
        if (handler === 'close handler') conn.setCloseHandler(outOfMemory);
      }
      await platform.settle();
      const code = handler === 'close handler' ? 8 : handler === 'none' ? 1 : 9;
      const received = frame(code, code === 8 ? Uint8Array.of(3, 232) : 'x');
      feed(received);
      await turns(10);
      await platform.settle();
      vi.unstubAllGlobals();
      expect(sent()).toEqual([]);
      expect(transport.destroyed).toBe(true);
      expect(await conn.closed).toMatchObject({ wasClean: false });
    },
  );
});
