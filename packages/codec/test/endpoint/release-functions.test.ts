import {
  BinaryMessage,
  ContinuationFrame,
  Endpoint,
  encodeFrame,
  FrameEncoder,
  LEASED,
  MESSAGE,
  MessageBuffers,
  MessageDecoder,
  sharedSlabPool,
} from '@ws/codec';
import { naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes, join } from '../support.ts';

const SIZES = [10, 5000, 65_520, 65_521, 200_000];
const LOST = 'a chunk was lost: end the transport';

type Output = { flush(write: (chunk: Uint8Array, release: () => void) => void): void };

/** Writes all that waits. Releases each chunk at once; ignores what its release function throws. */
function written(output: Output, wire: Uint8Array[]): void {
  output.flush((chunk, release) => {
    wire.push(new Uint8Array(chunk));
    try {
      release();
    } catch {
      // The function of the test.
    }
  });
}

function outputOf(endpoint: Endpoint): Output {
  return { flush: (write) => endpoint.output(write) };
}

const firstBytes = (wire: Uint8Array[], role: 'server' | 'client'): number[] =>
  naiveDecode(join(wire), role === 'server' ? 'client' : 'server').frames.map(
    ({ payload }) => payload[0]!,
  );

describe.each(['server', 'client'] as const)('a %s whose release function', (role) => {
  it.each(SIZES)('U2 sends the next message keeps their order: %i bytes', (size) => {
    const endpoint = new Endpoint({ role });
    let sent = 0;
    const sendNext = (): void => {
      if (sent < 4) endpoint.send(new Uint8Array(size).fill(++sent), sendNext);
    };
    sendNext();
    const wire: Uint8Array[] = [];
    for (let i = 0; i < 5; i++) written(outputOf(endpoint), wire);
    expect(firstBytes(wire, role)).toEqual([1, 2, 3, 4]);
  });

  it.each(SIZES)('U2 adds the next fragment keeps their order: %i bytes', (size) => {
    const encoder = new FrameEncoder({ role });
    let sent = 0;
    const addNext = (): void => {
      if (sent === 4) return;
      const opcode = sent === 0 ? BinaryMessage : ContinuationFrame;
      const payload = new Uint8Array(size).fill(++sent);
      encoder.frame(opcode, sent === 4, 0, payload, 0, size, addNext);
    };
    addNext();
    const wire: Uint8Array[] = [];
    for (let i = 0; i < 5; i++) written(encoder, wire);
    expect(firstBytes(wire, role)).toEqual([1, 2, 3, 4]);
  });

  it.each<[string, string | Uint8Array]>([
    ['a text', 'b'],
    ['a long text', 'b'.repeat(30_000)],
    ['bytes', new Uint8Array(10).fill(98)],
    ['large bytes', new Uint8Array(70_000).fill(98)],
  ])('U3 throws sends nothing of %s that was copied', (_, data) => {
    const endpoint = new Endpoint({ role });
    const before = sharedSlabPool().lent;
    endpoint.send('a');
    const throwing = (): never => {
      throw new Error('mine');
    };
    const isReferenced = role === 'server' && data.length > 65_520;
    const send = (): boolean => endpoint.send(data, throwing);
    if (isReferenced) expect(send()).toBe(true);
    else expect(send).toThrow('mine');
    endpoint.send('c');
    const wire: Uint8Array[] = [];
    written(outputOf(endpoint), wire);
    expect(firstBytes(wire, role)).toEqual(isReferenced ? [97, 98, 99] : [97, 99]);
    expect(endpoint.bufferedAmount).toBe(0);
    expect(sharedSlabPool().lent).toBe(before);
  });
});

describe('a release function after a chunk was lost', () => {
  it('U3 can send no message of an Endpoint', () => {
    const endpoint = new Endpoint({ role: 'server' });
    const before = sharedSlabPool().lent;
    let result: unknown;
    endpoint.send(bytes(70_000), () => {
      try {
        result = endpoint.send('late');
      } catch (error) {
        result = (error as Error).message;
      }
    });
    expect(() =>
      endpoint.output(() => {
        throw new Error('EPIPE');
      }),
    ).toThrow('EPIPE');
    expect(result).toBe(LOST);
    expect(endpoint.bufferedAmount).toBe(0);
    expect(sharedSlabPool().lent).toBe(before);
  });

  it('U3 can add no frame to a FrameEncoder', () => {
    const encoder = new FrameEncoder({ role: 'server' });
    const before = sharedSlabPool().lent;
    let result: unknown;
    encoder.frame(BinaryMessage, true, 0, bytes(70_000), 0, 70_000, () => {
      try {
        result = encoder.text(1, true, 0, 'late');
      } catch (error) {
        result = (error as Error).message;
      }
    });
    expect(() =>
      encoder.flush(() => {
        throw new Error('EPIPE');
      }),
    ).toThrow('EPIPE');
    expect(result).toBe(LOST);
    expect(encoder.pending).toBe(0);
    expect(sharedSlabPool().lent).toBe(before);
  });
});

describe.each(['first', 'second'] as const)('a flush whose %s chunk is lost', (which) => {
  it('U3 writes nothing more, also when a release function flushes', () => {
    const encoder = new FrameEncoder({ role: 'server' });
    const wire: Uint8Array[] = [];
    const results: string[] = [];
    const flushAgain = (): void => {
      try {
        written(encoder, wire);
        results.push('flushed');
      } catch (error) {
        results.push((error as Error).message);
      }
    };
    encoder.frame(BinaryMessage, true, 0, bytes(70_000), 0, 70_000, flushAgain);
    encoder.frame(BinaryMessage, true, 0, bytes(70_000), 0, 70_000, flushAgain);
    let chunks = 0;
    expect(() =>
      encoder.flush(() => {
        if (++chunks === (which === 'first' ? 1 : 2)) throw new Error('EPIPE');
      }),
    ).toThrow('EPIPE');
    expect(wire).toEqual([]);
    expect(results).toEqual([LOST, LOST]);
  });
});

describe('MessageDecoder with the option buffers', () => {
  it.each([100, 5000, 200_000])('U14 leases a whole message from them: %i bytes', (size) => {
    const buffers = new MessageBuffers({ simd: false });
    const decoder = new MessageDecoder({ role: 'server', buffers, memory: LEASED });
    decoder.push(encodeFrame(BinaryMessage, bytes(size, 5), { maskKey: 7 }));
    expect(decoder.next()).toBe(MESSAGE);
    expect(buffers.lent).toBe(1);
    const lease = decoder.takeLease()!;
    expect(new Uint8Array(lease.bytes.subarray(0, size))).toEqual(bytes(size, 5));
    lease.release();
    expect(buffers.lent).toBe(0);
  });
});
