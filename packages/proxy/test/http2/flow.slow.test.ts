import { hex, nothingLeft, rawClient } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front, rawTarget } from '../support.ts';
import { http2Front, openStream, rawHttp2Target } from './support.ts';

const MIB = 1024 * 1024;
const ALL = 32;

/** Waits until `count` does not change any more. */
async function calm(count: () => number): Promise<void> {
  let before = -1;
  for (let same = 0; same < 10; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    same = count() === before ? same + 1 : 0;
    before = count();
  }
}

// The raw peers over HTTP/2 give no window back by themselves.
describe.each(['frames', 'bytes', 'messages'] as const)(
  'backpressure over HTTP/2, mode %s',
  (mode) => {
    nothingLeft();

    it('stops a target whose client does not read', async () => {
      const backend = await rawTarget();
      const between = await http2Front(backend.url, { mode });
      const client = await openStream(between.port);
      const [target, proxied] = await Promise.all([backend.next(), between.next()]);
      target.startFrames();
      const frame = target.encode(2, Buffer.alloc(MIB, 1));
      let written = 0;
      const writing = (async () => {
        for (let i = 0; i < ALL; i++) {
          await target.write(frame);
          written++;
        }
      })();
      await calm(() => proxied.stats.out.bytes);
      expect(written).toBeLessThan(ALL - 4);
      expect(client.dataLength(1)).toBeLessThanOrEqual(65_535);
      client.window(0, 2 ** 30);
      client.window(1, 2 ** 30);
      await writing;
      await client.until(() => client.dataLength(1) >= ALL * MIB);
    });

    it('stops a client whose target does not read', async () => {
      const backend = await rawHttp2Target();
      const between = await front(backend.url, { mode, http2: 'only' });
      const client = await rawClient(between.port);
      await client.upgrade();
      client.startFrames();
      const target = await backend.asked;
      const proxied = await between.next();
      const frame = client.encode(2, Buffer.alloc(MIB, 1));
      let written = 0;
      const writing = (async () => {
        for (let i = 0; i < ALL; i++) {
          await client.write(frame);
          written++;
        }
      })();
      await calm(() => proxied.stats.in.bytes);
      expect(written).toBeLessThan(ALL - 4);
      target.window(0, 2 ** 30);
      target.window(1, 2 ** 30);
      await writing;
      await target.until(() => target.dataLength(1) >= ALL * MIB);
    });

    it('delivers what came before the end of a target to a client that reads later', async () => {
      const backend = await rawTarget();
      const between = await http2Front(backend.url, { mode });
      const client = await openStream(between.port);
      const target = await backend.next();
      target.startFrames();
      for (let i = 0; i < 4; i++) await target.write(target.encode(2, Buffer.alloc(100_000, i)));
      await target.write(hex('88 02 03 e8'));
      target.end();
      await calm(() => client.dataLength(1));
      expect(client.dataLength(1)).toBeLessThanOrEqual(65_535);
      client.window(0, 2 ** 30);
      client.window(1, 2 ** 30);
      await client.until(() => client.dataLength(1) >= 400_000);
      await client.until(() => client.bytes(1).includes(Buffer.from(hex('88 02 03 e8'))));
    });
  },
);
