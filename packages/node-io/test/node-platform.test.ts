import { readFileSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import { connPair, type Message } from '@ws/conn';
import { schedulerOf, TurnCallback } from '@ws/conn/internal';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nodePlatform } from '../src/index.ts';

const texts = [
  { says: 'nothing', text: '' },
  { says: 'short ASCII', text: 'hello' },
  { says: 'short other text', text: 'añ漢😀' },
  { says: 'a byte order mark', text: '\ufeffab' },
  { says: 'other text of some hundred bytes', text: 'añ漢😀'.repeat(60) },
  { says: 'ASCII of a KiB', text: 'abcd'.repeat(256) },
  { says: 'ASCII beyond the Latin-1 crossover', text: 'abcd'.repeat(5000) },
  { says: 'other text beyond the transcode crossover', text: '\ufeffañ漢😀'.repeat(3000) },
  { says: 'long ASCII with one foreign character at its end', text: `${'a'.repeat(9000)}é` },
];

describe('nodePlatform.writeUtf8', () => {
  it.each(texts)('writes $says at the given index', ({ text }) => {
    const into = new Uint8Array(text.length * 3 + 10).fill(0xaa);
    const size = nodePlatform.writeUtf8(into, 7, text);
    expect(size).toBe(Buffer.byteLength(text));
    expect(Buffer.from(into.buffer, 7, size).equals(Buffer.from(text))).toBe(true);
    expect([...into.subarray(0, 7), ...into.subarray(7 + size)].every((b) => b === 0xaa)).toBe(
      true,
    );
  });

  it.each([
    { says: 'short', text: 'a\ud800b' },
    { says: 'long', text: `${'漢'.repeat(5000)}\udc00` },
  ])('writes U+FFFD for a lone surrogate in $says text', ({ text }) => {
    const into = new Uint8Array(text.length * 3);
    const size = nodePlatform.writeUtf8(into, 0, text);
    expect(Buffer.from(into.buffer, 0, size).toString()).toBe(
      text.replace(/\p{Surrogate}/u, '\ufffd'),
    );
  });

  it('alternates between two memories', () => {
    const a = new Uint8Array(16);
    const b = new Uint8Array(new ArrayBuffer(32), 8, 16);
    for (const [i, into] of [a, b, a, b].entries())
      expect(nodePlatform.writeUtf8(into, i, 'xyz')).toBe(3);
    expect(Buffer.from(a).toString('latin1', 0, 6)).toBe('xyxyz\0');
    expect(Buffer.from(b).toString('latin1', 0, 7)).toBe('\0xyxyz\0');
    expect(new Uint8Array(b.buffer, 0, 8).every((x) => x === 0)).toBe(true);
  });
});

describe('nodePlatform.decodeUtf8', () => {
  it.each(texts)('decodes $says from the middle of bytes', ({ text }) => {
    const utf8 = Buffer.from(text);
    for (const bytes of [
      Buffer.concat([Buffer.from('zz'), utf8, Buffer.from('z')]),
      new Uint8Array([122, 122, ...utf8, 122]),
    ]) {
      expect(nodePlatform.decodeUtf8(bytes, 2, 2 + utf8.length)).toBe(text);
    }
  });

  it.each([
    { says: 'a byte that no UTF-8 has', invalid: [0xff] },
    { says: 'a character cut at its end', invalid: [0xe6, 0xbc] },
    { says: 'a surrogate', invalid: [0xed, 0xa0, 0x80] },
  ])('decodes $says as U+FFFD in short and in long text', ({ invalid }) => {
    for (const length of [4, 500, 3000, 10_000]) {
      const bytes = Buffer.concat([Buffer.from('é'.repeat(length)), Buffer.from(invalid)]);
      expect(nodePlatform.decodeUtf8(bytes, 0, bytes.length)).toBe(bytes.toString());
    }
  });

  it('reads bytes that changed since the last call', () => {
    const bytes = new Uint8Array([97, 98]);
    expect(nodePlatform.decodeUtf8(bytes, 0, 2)).toBe('ab');
    bytes[0] = 99;
    expect(nodePlatform.decodeUtf8(bytes, 0, 2)).toBe('cb');
  });
});

describe('nodePlatform', () => {
  it('validates UTF-8', () => {
    expect(nodePlatform.isUtf8?.(Buffer.from('añ漢'))).toBe(true);
    expect(nodePlatform.isUtf8?.(new Uint8Array([0xc0, 0x80]))).toBe(false);
  });

  it('fills words with random bits', () => {
    const words = new Int32Array(64);
    nodePlatform.randomFill(words);
    expect(new Set(words).size).toBeGreaterThan(60);
  });

  it('has a monotonic clock', () => {
    const before = nodePlatform.now();
    expect(nodePlatform.now()).toBeGreaterThanOrEqual(before);
  });

  it('calls a timer once, and not when it was cancelled', async () => {
    const calls: string[] = [];
    nodePlatform.setTimer(1, () => calls.push('cancelled'))();
    await new Promise<void>((resolve) => {
      // The timer does not keep the process alive, so another one has to.
      const hold = setTimeout(() => {}, 10_000);
      nodePlatform.setTimer(5, () => {
        calls.push('fired');
        clearTimeout(hold);
        resolve();
      });
    });
    expect(calls).toEqual(['fired']);
  });
});

describe('nodePlatform.defer', () => {
  /** Runs `body` in a callback of I/O, with no other work pending. */
  const inIo = (body: () => void): Promise<void> =>
    new Promise((resolve) => {
      setImmediate(() => {
        body();
        setImmediate(resolve);
      });
    });

  it('waits for all microtasks that are ready, also those that they make', async () => {
    const order: string[] = [];
    await inIo(() => {
      nodePlatform.defer(() => order.push('deferred'));
      void (async () => {
        for (let i = 0; i < 5; i++) await Promise.resolve();
        order.push('microtasks');
      })();
    });
    expect(order).toEqual(['microtasks', 'deferred']);
  });

  it('runs before immediates', async () => {
    const order: string[] = [];
    await inIo(() => {
      nodePlatform.yield(() => order.push('yielded'));
      nodePlatform.defer(() => order.push('deferred'));
    });
    expect(order).toEqual(['deferred', 'yielded']);
  });

  it('runs callbacks that are deferred meanwhile in another round, microtasks between', async () => {
    const order: string[] = [];
    await inIo(() => {
      nodePlatform.defer(() => {
        order.push('first');
        nodePlatform.defer(() => order.push('third'));
        void Promise.resolve().then(() => order.push('microtask'));
      });
      nodePlatform.defer(() => order.push('second'));
    });
    expect(order).toEqual(['first', 'second', 'microtask', 'third']);
  });
});

describe('fake timers that were removed', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it('drop no callback for good, also with a fake nextTick as in Jest', async () => {
    const ran: string[] = [];
    vi.stubGlobal('setTimeout', () => ({ unref() {} }));
    vi.stubGlobal('setImmediate', () => {});
    vi.spyOn(process, 'nextTick').mockImplementation(() => {});
    const { endOfTurn } = schedulerOf(nodePlatform);
    nodePlatform.yield(() => ran.push('yielded'));
    endOfTurn.add(new TurnCallback(() => ran.push('deferred')));
    await Promise.resolve();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
    endOfTurn.add(new TurnCallback(() => ran.push('deferred later')));
    nodePlatform.yield(() => ran.push('yielded later'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(ran).toEqual(['deferred', 'deferred later', 'yielded', 'yielded later']);
  });

  it('are not asked to clear a timer that is not theirs', () => {
    const clear = vi.fn();
    const stop = nodePlatform.setTimer(10_000, () => {});
    vi.stubGlobal('clearTimeout', clear);
    stop();
    expect(clear).not.toHaveBeenCalled();
  });
});

describe('a deferred callback that throws', () => {
  const others = process.listeners('uncaughtException');

  afterEach(() => {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  });

  it('is an uncaught exception, and does not affect other callbacks', async () => {
    const seen: string[] = [];
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', ({ message }) => seen.push(message));
    nodePlatform.defer(() => seen.push('first'));
    nodePlatform.defer(() => {
      throw new Error('a bug');
    });
    for (const says of ['second', 'third']) nodePlatform.defer(() => seen.push(says));
    await new Promise((resolve) => setImmediate(resolve));
    nodePlatform.defer(() => seen.push('later'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual(['first', 'a bug', 'second', 'third', 'later']);
  });
});

describe('the package', () => {
  it('has no dependency outside the project', () => {
    const { dependencies } = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    ) as { dependencies: Record<string, string> };
    expect(Object.keys(dependencies)).toEqual(['@ws/codec', '@ws/conn', '@ws/deflate']);
  });
});

describe('nodePlatform.view', () => {
  const bytes = Uint8Array.from({ length: 20 }, (_, i) => i).subarray(5);

  it('is a Buffer over the same bytes, so that a socket need not wrap it', () => {
    const view = nodePlatform.view!(bytes, 2, 4);
    expect(view).toBeInstanceOf(Buffer);
    expect([...view]).toEqual([7, 8]);
    expect(view.buffer).toBe(bytes.buffer);
  });

  it('is the same object for the same part', () => {
    const view = nodePlatform.view!(bytes, 2, 4);
    expect(nodePlatform.view!(bytes, 2, 4)).toBe(view);
    expect([...nodePlatform.view!(bytes, 2, 5)]).toEqual([7, 8, 9]);
    expect([...nodePlatform.view!(bytes, 1, 5)]).toEqual([6, 7, 8, 9]);
    expect([...nodePlatform.view!(bytes.slice(), 1, 5)]).toEqual([6, 7, 8, 9]);
  });

  it('does not keep large memory alive', () => {
    const large = new Uint8Array(65_537);
    expect(nodePlatform.view!(large, 0, 1)).not.toBe(nodePlatform.view!(large, 0, 1));
  });
});

describe('nodePlatform.overwritesLentBytes', () => {
  it('is false by default', () => {
    expect(nodePlatform.overwritesLentBytes).toBe(false);
  });
});

describe('nodePlatform.markUntransferable', () => {
  it.each<[string, (data: Uint8Array<ArrayBuffer>) => void]>([
    [
      'to a port',
      (data) => {
        const { port1 } = new MessageChannel();
        try {
          port1.postMessage(data, [data.buffer]);
        } finally {
          port1.close();
        }
      },
    ],
    ['by a clone', (data) => void structuredClone(data, { transfer: [data.buffer] })],
  ])('lets no message that is transferred %s take others with it', async (_name, transfer) => {
    const [client, server] = connPair({ platform: nodePlatform });
    for (const size of [10, 65, 100, 1_000, 4_000, 5_000]) {
      const texts = Array.from({ length: 12 }, (_, i) => `${i}`.padEnd(size, 'x'));
      for (const text of texts) void client.send(text);
      const kept: Message[] = [];
      for await (const message of server) {
        kept.push(message);
        if (kept.length === texts.length) break;
      }
      try {
        transfer(kept[3]!.data);
      } catch (error) {
        expect(error).toMatchObject({ name: expect.stringMatching(/DataCloneError|TypeError/) });
      }
      const others = <T>(list: readonly T[]): T[] => list.filter((_, i) => i !== 3);
      expect(others(kept).map(String)).toEqual(others(texts));
    }
    client.terminate();
  });
});
