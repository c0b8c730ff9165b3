// The slab in which all connections of a thread encode their frames.
import { FakePlatform, naiveDecode } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Wired, wired } from '../wired.ts';

const SETTINGS = { maxBufferedAmount: false } as const;

/** Connections of one platform. Their transports hold `mark` bytes before they are blocked. */
function several(count: number, mark = 0): Wired[] {
  const platform = new FakePlatform();
  return Array.from({ length: count }, () => wired('server', SETTINGS, mark, platform));
}

/** Sends a message of `size` bytes that are all `fill`. */
function send({ conn }: Wired, fill: number, size: number): void {
  void conn.send(new Uint8Array(size).fill(fill));
}

/** The payloads that left, each as its size and its bytes without repetition. */
function payloads({ conn, transport }: Wired): string[] {
  const from = conn.role === 'server' ? 'client' : 'server';
  return naiveDecode(transport.sent, from).frames.map(({ payload }) => {
    const isFilled = Buffer.alloc(payload.length, payload[0]).equals(payload);
    return `${payload.length} of ${isFilled ? (payload[0] ?? '') : [...new Set(payload)].join()}`;
  });
}

describe('connections that write in one turn', () => {
  it('send one write each, although their frames alternate', async () => {
    const all = several(3);
    const [{ platform }] = all as [Wired];
    await platform.settle();
    for (let i = 0; i < 4; i++) for (const each of all) send(each, i, 100);
    for (const { conn } of all) expect(conn.bufferedAmount).toBe(408);
    await platform.settle();
    for (const each of all) {
      expect(each.transport.writes.map(({ length }) => length)).toEqual([408]);
      expect(payloads(each)).toEqual(['100 of 0', '100 of 1', '100 of 2', '100 of 3']);
    }
  });

  it('drop only their own frames when they end', async () => {
    const [ends, stays] = several(2) as [Wired, Wired];
    await stays.platform.settle();
    send(stays, 1, 10);
    send(ends, 2, 10);
    ends.conn.terminate();
    send(stays, 3, 10);
    await stays.platform.settle();
    expect([payloads(ends), payloads(stays)]).toEqual([[], ['10 of 1', '10 of 3']]);
    expect(ends.conn.bufferedAmount).toBe(0);
  });
});

describe('a platform that writes text and sends on another connection meanwhile', () => {
  it('fails that frame, and mixes no bytes', async () => {
    const [one, other] = several(2) as [Wired, Wired];
    const { platform } = one;
    await platform.settle();
    let within: Promise<void> | undefined;
    platform.writeUtf8 = () => {
      within = other.conn.send(new Uint8Array(50));
      throw new Error('mine');
    };
    send(other, 1, 10);
    send(one, 2, 10);
    await expect(one.conn.send('é'.repeat(20))).rejects.toThrow('mine');
    await expect(within).rejects.toThrow('writeUtf8 and pools must not send, flush or drop frames');
    send(one, 3, 10);
    send(other, 4, 10);
    await platform.settle();
    expect([payloads(one), payloads(other)]).toEqual([
      ['10 of 2', '10 of 3'],
      ['10 of 1', '10 of 4'],
    ]);
  });
});

describe('bytes that a slow transport keeps', () => {
  it('do not change while other connections write', async () => {
    const slow = several(50, 100_000);
    const [{ platform }] = slow as [Wired];
    for (const [i, each] of slow.entries()) {
      each.transport.block();
      send(each, i, 3_000);
      await platform.settle();
      const [fast] = several(1) as [Wired];
      send(fast, 255, 10_000);
      await fast.platform.settle();
      expect(payloads(fast)).toEqual(['10000 of 255']);
    }
    // A TestTransport checks held bytes at their release.
    for (const { transport } of slow) transport.drain();
    expect(slow.flatMap((each) => payloads(each))).toEqual(slow.map((_, i) => `3000 of ${i}`));
  });

  it('are released once, however often the transport says so', async () => {
    const releases: (() => void)[] = [];
    const chunks: Uint8Array[] = [];
    const keeping = several(2);
    for (const [i, each] of keeping.entries()) {
      await each.platform.settle();
      const write = each.transport.write.bind(each.transport);
      each.transport.write = (chunk, release) => {
        releases.push(release!);
        chunks.push(chunk);
        return write(chunk);
      };
      send(each, i, 100);
      await each.platform.settle();
    }
    const before = Uint8Array.from(chunks[1]!);
    releases[0]!();
    releases[0]!();
    const [other] = several(1) as [Wired];
    send(other, 9, 60_000);
    await other.platform.settle();
    expect(chunks[1]).toEqual(before);
  });
});

describe.each(['server', 'client'] as const)('frames of a %s', (role) => {
  it.each([0, 125, 126, 32_767, 65_519, 65_520, 65_521, 65_535, 65_536, 200_000])(
    'with %d bytes of payload arrive whole, alone and after others',
    async (size) => {
      for (const before of [0, 10, 40_000]) {
        const each = wired(role, SETTINGS);
        await each.platform.settle();
        send(each, 1, before);
        send(each, 2, size);
        send(each, 3, 5);
        await each.platform.settle();
        const of = (fill: number, n: number): string => `${n} of ${n === 0 ? '' : fill}`;
        expect(payloads(each)).toEqual([of(1, before), of(2, size), of(3, 5)]);
        expect(each.conn.stats.bytesOut).toBe(each.transport.sent.length);
      }
    },
  );

  it.each([16, 17, 4_096, 21_840, 21_841, 65_536, 100_000])(
    'with text of %d characters arrive whole',
    async (units) => {
      for (const piece of ['a', 'aé', '漢', '😀', '\ud800']) {
        const { conn, platform, transport } = wired(role, SETTINGS);
        const text = piece.repeat(units).slice(0, units);
        void conn.send('before');
        void conn.send(text);
        await platform.settle();
        const from = role === 'server' ? 'client' : 'server';
        const { frames } = naiveDecode(transport.sent, from);
        expect(Buffer.compare(frames[1]!.payload, new TextEncoder().encode(text))).toBe(0);
        expect(conn.stats.bytesOut).toBe(transport.sent.length);
      }
    },
  );
});

describe('any writes of several connections', () => {
  const step = fc.record({
    does: fc.constantFrom('bytes', 'text', 'turn', 'block', 'drain'),
    who: fc.nat(3),
    size: fc.oneof(fc.nat(300), fc.constantFrom(20_000, 33_000, 65_530, 70_000)),
  });

  it('arrive whole and in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        const platform = new FakePlatform();
        const all = (['server', 'client', 'server', 'client'] as const).map((role) =>
          wired(role, SETTINGS, 300, platform),
        );
        const expected: string[][] = all.map(() => []);
        for (const [i, { does, who, size }] of steps.entries()) {
          const { conn, transport } = all[who]!;
          if (does === 'turn') await platform.settle();
          else if (does === 'block') transport.block();
          else if (does === 'drain') transport.drain();
          else {
            if (does === 'bytes') send(all[who]!, i, size);
            if (does === 'text') void conn.send(String.fromCharCode(i).repeat(size));
            expected[who]!.push(`${size} of ${size === 0 ? '' : i}`);
          }
        }
        for (let round = 0; all.some(({ conn }) => conn.bufferedAmount > 0); round++) {
          expect(round).toBeLessThan(200);
          for (const { transport } of all) transport.drain();
          await platform.settle();
        }
        expect(all.map(payloads)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });
});
