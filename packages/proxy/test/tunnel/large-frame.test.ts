import { nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { pair } from '../support.ts';

const KIB = 1024;
const SIZE = 200 * KIB;
const PART = 100 * KIB;

describe('the end of a pair inside a frame', () => {
  nothingLeft();

  it.each([
    { who: 'target', code: 1014, flow: 'out' },
    { who: 'client', code: 1001, flow: 'in' },
  ] as const)('of the $who is no close frame when it is larger than 64 KiB', async (each) => {
    const { from, proxied } = await pair();
    const [killed, other] = from(each.who);
    await killed.write(killed.encode(2, Buffer.alloc(SIZE)).subarray(0, PART));
    await other.until(() => proxied.stats[each.flow].bytes === PART);
    killed.reset();
    await other.untilEnd();
    other.end();
    expect(other.frames).toEqual([]);
    expect(await proxied.closed).toMatchObject({ endedBy: each.who, code: each.code });
  });

  it.each([
    ['target', 'close 1014'],
    ['client', 'close 1001'],
  ] as const)(
    'is a close frame when highWaterMark holds the frame of the %s',
    async (who, close) => {
      const [killed, other] = (await pair({ highWaterMark: 2 * SIZE })).from(who);
      const frame = killed.encode(2, Buffer.alloc(SIZE));
      await killed.write(killed.encode(1, 'whole'), frame.subarray(0, PART));
      expect(await other.sees(1)).toEqual(['text whole']);
      killed.reset();
      expect(await other.sees(2)).toEqual(['text whole', close]);
      await other.finish();
    },
  );

  it.each([
    ['target', 'close 1014'],
    ['client', 'close 1001'],
  ] as const)('is a close frame after fragments of the %s, mode messages', async (who, close) => {
    const [killed, other] = (await pair({ mode: 'messages' })).from(who);
    await killed.write(killed.encode(2, Buffer.alloc(SIZE)).subarray(0, PART));
    await other.until(({ frames }) => frames.length > 0);
    killed.reset();
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
