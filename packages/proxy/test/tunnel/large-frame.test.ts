import { nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { pair } from '../support.ts';

const KIB = 1024;
const SIZE = 200 * KIB;
const PART = 100 * KIB;

describe('the end of a pair inside a frame', () => {
  nothingLeft();

  it('is no close frame for the client when the frame is larger than 64 KiB', async () => {
    const { client, target, proxied } = await pair();
    await target.write(target.encode(2, Buffer.alloc(SIZE)).subarray(0, PART));
    await client.until(() => proxied.stats.out.bytes === PART);
    target.reset();
    await client.untilEnd();
    client.end();
    expect(client.frames).toEqual([]);
    expect(await proxied.closed).toMatchObject({ endedBy: 'target', code: 1014 });
  });

  it('is no close frame for the target when the frame is larger than 64 KiB', async () => {
    const { client, target, proxied } = await pair();
    await client.write(client.encode(2, Buffer.alloc(SIZE)).subarray(0, PART));
    await target.until(() => proxied.stats.in.bytes === PART);
    client.reset();
    await target.untilEnd();
    target.end();
    expect(target.frames).toEqual([]);
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1001 });
  });

  it.each([
    ['target', 'close 1014'],
    ['client', 'close 1001'],
  ] as const)(
    'is a close frame when highWaterMark holds the frame of the %s',
    async (who, close) => {
      const opened = await pair({ highWaterMark: 2 * SIZE });
      const other = who === 'client' ? opened.target : opened.client;
      const frame = opened[who].encode(2, Buffer.alloc(SIZE));
      await opened[who].write(opened[who].encode(1, 'whole'), frame.subarray(0, PART));
      expect(await other.sees(1)).toEqual(['text whole']);
      opened[who].reset();
      expect(await other.sees(2)).toEqual(['text whole', close]);
      await other.finish();
    },
  );

  it.each([
    ['target', 'close 1014'],
    ['client', 'close 1001'],
  ] as const)('is a close frame after fragments of the %s, mode messages', async (who, close) => {
    const opened = await pair({ mode: 'messages' });
    const other = who === 'client' ? opened.target : opened.client;
    await opened[who].write(opened[who].encode(2, Buffer.alloc(SIZE)).subarray(0, PART));
    await other.until(({ frames }) => frames.length > 0);
    opened[who].reset();
    await other.until(({ frames }) => frames.at(-1)?.opcode === 8);
    expect(other.frames.every(({ opcode, fin }) => opcode === 8 || !fin)).toBe(true);
    expect(await other.sees(other.frames.length)).toContain(close);
    await other.close(1000);
    other.end();
    await other.untilEnd();
  });

  it('is no close frame when the source has stalled in it before: its start has passed', async () => {
    // The proxy looks after stalled frames each 10 ms then.
    const { client, target } = await pair({ heartbeat: { interval: 60_000, timeout: 40 } });
    let passed = 0;
    client.stream.on('data', (chunk: Buffer) => {
      passed += chunk.length;
    });
    const frame = target.encode(2, Buffer.alloc(1000, 7));
    await target.write(frame.subarray(0, 500));
    await client.until(() => passed === 500);
    target.reset();
    await client.untilEnd();
    expect(client.frames).toEqual([]);
  });
});
