import * as zlib from 'node:zlib';
import { InflateStatus } from '@ws/deflate';
import { inflateWith } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { SyncInflater } from '../../src/deflate/sync-inflater.ts';

const finishFlush = zlib.constants.Z_SYNC_FLUSH;

/** Compresses a message as a peer does. */
function pack(plain: Uint8Array, level: number): Buffer {
  return zlib.deflateRawSync(plain, { level, finishFlush }).subarray(0, -4);
}

describe('SyncInflater', () => {
  it.each([0, 6])('reads a message of level %i that ends like its own mark', (level) => {
    for (const size of [4, 40, 4_000]) {
      const plain = Buffer.concat([Buffer.alloc(size - 4, 'abc'), Buffer.from('0800f7ff', 'hex')]);
      const message = pack(plain, level);
      const engine = new SyncInflater(zlib);
      expect(inflateWith(engine, message)).toEqual({ verdict: 'whole', plain });
      for (let cut = 1; cut < Math.min(40, message.length - 1); cut++) {
        engine.reset(undefined);
        expect(inflateWith(engine, message.subarray(0, -cut)).verdict).toBe('corrupt');
      }
    }
  });

  it('makes at most one byte more than the limit, and charges what it makes', () => {
    const engine = new SyncInflater(zlib);
    const message = pack(Buffer.alloc(1_000), 6);
    const output = new Uint8Array(2_000);
    const write = (limit: number): unknown[] => {
      engine.reset(undefined);
      const status = engine.write(message, 0, message.length, true, output, 0, 2_000, limit);
      return [status, engine.produced, engine.extraCost];
    };
    expect(write(1_000)).toEqual([InflateStatus.Done, 1_000, 1_000]);
    expect(write(999)).toEqual([InflateStatus.Done, 1_000, 1_000]);
    expect(write(980)).toEqual([InflateStatus.TooBig, 0, 0]);
    message[0] = 0x07;
    expect(write(500)).toEqual([InflateStatus.Corrupt, 0, 500]);
  });

  it('throws when zlib fails without a fault of the peer', () => {
    const error = Object.assign(new Error('out of memory'), { code: 'Z_MEM_ERROR' });
    const engine = new SyncInflater({
      ...zlib,
      inflateRawSync() {
        throw error;
      },
    });
    const room = new Uint8Array(10);
    expect(() => engine.write(room, 0, 1, true, room, 0, 10, 10)).toThrow(error);
  });
});
