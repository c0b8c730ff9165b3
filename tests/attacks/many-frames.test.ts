import { FRAME, FRAME_BEGIN, FrameDecoder, type Slab, sharedMessageBuffers } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { FakeHost, turn } from '../../src/index.ts';
import { frame, only, ROLES, readingVictim, warmUp } from './victim.ts';

/** So many frames in a chunk. */
const TOGETHER = 4_096;
const KIB = 1024;

/** Takes all memory that lies unused in the pool: what is asked for from here on is new, and seen to be. */
function lendAll(): Uint8Array[] {
  const lent: Uint8Array[] = [];
  for (let size = 4096 * KIB; size >= 4 * KIB; size /= 2) {
    for (let buffer; (buffer = sharedMessageBuffers().takeFree(size)) !== undefined; )
      lent.push(buffer);
  }
  return lent;
}

describe('fragments of a byte', () => {
  it('are merged, and refused by the first that is too many', async () => {
    const readLimit = 32 * TOGETHER;
    const host = new FakeHost();
    const chunks = new Map(
      ROLES.map((role) => {
        const one = frame(role, 0, 'x', { fin: false, key: 0 });
        return [role, Buffer.concat(Array.from({ length: TOGETHER }, () => one))] as const;
      }),
    );
    const attack = async (watch: Watch): Promise<Outcome> => {
      const lent = lendAll();
      // Payload alone: the headers are six times that.
      watch.sent(readLimit);
      const closes = [];
      for (const role of ROLES) {
        const target = await readingVictim(role, { readLimit }, host);
        target.feed(target.frame(2, '', { fin: false }));
        for (let fed = 0; fed < readLimit; fed += TOGETHER) {
          target.transport.sink!.data(chunks.get(role)!);
          await turn();
        }
        watch.weigh();
        expect(target.conn.state).toBe('open');
        // 5.4: the byte too many is refused by its header.
        target.feed(target.frame(0, 'x', { fin: false }).subarray(0, 2));
        await host.settle();
        closes.push(target.closeCode());
        await target.end();
      }
      for (const buffer of lent) sharedMessageBuffers().give(buffer);
      return { close: only(closes) };
    };
    await warmUp(attack, 2);
    await survives(59, attack);
  });
});

describe('fragments without a byte', () => {
  const fragments = 200_000;
  const allowed = 1_024;

  it('cost nothing, and are refused once there are too many in a row', async () => {
    const host = new FakeHost();
    const empty = frame('server', 0, '', { fin: false });
    const chunk = Buffer.concat(Array.from({ length: TOGETHER }, () => empty));
    /** Two rows of as many as are allowed, and one too many: the code that answers that. */
    const answers = async (): Promise<number[]> => {
      const closes = [];
      for (const role of ROLES) {
        const target = await readingVictim(role, {}, host);
        target.feed(target.frame(2, '', { fin: false }));
        // A ping among them changes nothing, a byte begins a new row.
        for (let row = 0; row < 2; row++) {
          for (let i = row === 0 ? 1 : 0; i < allowed; i++) {
            target.feed(target.frame(0, '', { fin: false }));
            if (i % 64 === 0) target.feed(target.frame(9));
            if (i % 64 === 0) await turn();
          }
          expect(target.conn.state).toBe('open');
          if (row === 0) target.feed(target.frame(0, 'x', { fin: false }));
        }
        target.feed(target.frame(0, '', { fin: false }));
        await host.settle();
        closes.push(target.closeCode());
        await target.end();
      }
      return closes;
    };
    const attack = async (watch: Watch): Promise<Outcome> => {
      const closes = await answers();
      const patient = await readingVictim('server', { maxEmptyFragments: false }, host);
      patient.feed(patient.frame(2, 'x', { fin: false }));
      const before = watch.held();
      for (let fed = 0; fed < fragments; fed += TOGETHER) {
        patient.transport.sink!.data(chunk);
        await turn();
      }
      const grown = watch.held() - before;
      expect(patient.conn.state).toBe('open');
      await patient.end();
      return { close: only(closes), allowed, each: Math.floor(Math.max(0, grown) / fragments) };
    };
    await warmUp(attack, 4);
    await survives(60, attack);
  });
});

describe('a header that comes byte by byte', () => {
  it('is carried in no more than its bytes, and reads as one that came at once', async () => {
    const headers = ROLES.flatMap((role) =>
      [0, 125, 126, 65_535, 65_536, 2 ** 40].flatMap((claims) =>
        [1, 2].map((opcode) => ({ role, bytes: frame(role, opcode, '', { claims }), claims })),
      ),
    );
    const attack = (): Outcome => {
      let carry = 0;
      const events = [];
      for (const { role, bytes, claims } of headers) {
        let lent = 0;
        const take = (size: number): Slab => {
          carry = Math.max(carry, size);
          lent++;
          return { bytes: new Uint8Array(size), release: () => void lent-- };
        };
        // As a Conn reads: no payload is held.
        const decoder = new FrameDecoder({ role, holdLimit: 0, pool: { take } });
        let event = 0;
        for (let i = 0; i < bytes.length; i++) {
          if (event !== 0) throw new Error('an event before the header is whole');
          decoder.push(bytes.slice(i, i + 1));
          event = decoder.next();
        }
        const whole = new FrameDecoder({ role, holdLimit: 0 });
        whole.push(bytes);
        const atOnce = whole.next();
        expect([event, decoder.opcode, decoder.length]).toEqual([atOnce, whole.opcode, claims]);
        events.push(event === FRAME || event === FRAME_BEGIN);
        decoder.reset();
        expect(lent).toBe(0);
      }
      expect(only(events)).toBe(true);
      return { carry };
    };
    await warmUp(attack);
    await survives(61, attack);
  });
});
