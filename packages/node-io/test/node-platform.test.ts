import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeHost } from '../src/index.ts';

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

describe('nodeHost.writeUtf8', () => {
  it.each(texts)('writes $says where it is told', ({ text }) => {
    const into = new Uint8Array(text.length * 3 + 10).fill(0xaa);
    const size = nodeHost.writeUtf8(into, 7, text);
    expect(size).toBe(Buffer.byteLength(text));
    expect(Buffer.from(into.buffer, 7, size).equals(Buffer.from(text))).toBe(true);
    expect([...into.subarray(0, 7), ...into.subarray(7 + size)].every((b) => b === 0xaa)).toBe(
      true,
    );
  });

  it.each([
    { says: 'short', text: 'a\ud800b' },
    { says: 'long', text: `${'漢'.repeat(5000)}\udc00` },
  ])('makes U+FFFD of a lone surrogate in $says text', ({ text }) => {
    const into = new Uint8Array(text.length * 3);
    const size = nodeHost.writeUtf8(into, 0, text);
    expect(Buffer.from(into.buffer, 0, size).toString()).toBe(
      text.replace(/\p{Surrogate}/u, '\ufffd'),
    );
  });

  it('writes into two memories in turn', () => {
    const a = new Uint8Array(16);
    const b = new Uint8Array(new ArrayBuffer(32), 8, 16);
    for (const [i, into] of [a, b, a, b].entries())
      expect(nodeHost.writeUtf8(into, i, 'xyz')).toBe(3);
    expect(Buffer.from(a).toString('latin1', 0, 6)).toBe('xyxyz\0');
    expect(Buffer.from(b).toString('latin1', 0, 7)).toBe('\0xyxyz\0');
    expect(new Uint8Array(b.buffer, 0, 8).every((x) => x === 0)).toBe(true);
  });
});

describe('nodeHost.decodeUtf8', () => {
  it.each(texts)('decodes $says out of the middle of bytes', ({ text }) => {
    const utf8 = Buffer.from(text);
    for (const bytes of [
      Buffer.concat([Buffer.from('zz'), utf8, Buffer.from('z')]),
      new Uint8Array([122, 122, ...utf8, 122]),
    ]) {
      expect(nodeHost.decodeUtf8(bytes, 2, 2 + utf8.length)).toBe(text);
    }
  });

  it('sees bytes that changed since the last call', () => {
    const bytes = new Uint8Array([97, 98]);
    expect(nodeHost.decodeUtf8(bytes, 0, 2)).toBe('ab');
    bytes[0] = 99;
    expect(nodeHost.decodeUtf8(bytes, 0, 2)).toBe('cb');
  });
});

describe('nodeHost', () => {
  it('tells valid UTF-8 from invalid', () => {
    expect(nodeHost.isUtf8?.(Buffer.from('añ漢'))).toBe(true);
    expect(nodeHost.isUtf8?.(new Uint8Array([0xc0, 0x80]))).toBe(false);
  });

  it('fills words with random bits', () => {
    const words = new Int32Array(64);
    nodeHost.randomFill(words);
    expect(new Set(words).size).toBeGreaterThan(60);
  });

  it('has a clock that does not go back', () => {
    const before = nodeHost.now();
    expect(nodeHost.now()).toBeGreaterThanOrEqual(before);
  });

  it('calls a timer once, and not when it was cancelled', async () => {
    const calls: string[] = [];
    nodeHost.setTimer(1, () => calls.push('cancelled'))();
    await new Promise<void>((resolve) => {
      // It holds no process open, so something else has to.
      const hold = setTimeout(() => {}, 10_000);
      nodeHost.setTimer(5, () => {
        calls.push('fired');
        clearTimeout(hold);
        resolve();
      });
    });
    expect(calls).toEqual(['fired']);
  });
});

describe('nodeHost.defer', () => {
  /** Runs `body` where nothing else is under way: in a callback of I/O. */
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
      nodeHost.defer(() => order.push('deferred'));
      void (async () => {
        for (let i = 0; i < 5; i++) await Promise.resolve();
        order.push('microtasks');
      })();
    });
    expect(order).toEqual(['microtasks', 'deferred']);
  });

  it('comes before immediates', async () => {
    const order: string[] = [];
    await inIo(() => {
      nodeHost.yield(() => order.push('yielded'));
      nodeHost.defer(() => order.push('deferred'));
    });
    expect(order).toEqual(['deferred', 'yielded']);
  });

  it('gives what is deferred meanwhile a round of its own, microtasks between', async () => {
    const order: string[] = [];
    await inIo(() => {
      nodeHost.defer(() => {
        order.push('first');
        nodeHost.defer(() => order.push('third'));
        void Promise.resolve().then(() => order.push('microtask'));
      });
      nodeHost.defer(() => order.push('second'));
    });
    expect(order).toEqual(['first', 'second', 'microtask', 'third']);
  });
});

describe('a deferred callback that throws', () => {
  const others = process.listeners('uncaughtException');

  afterEach(() => {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  });

  it('is uncaught, and takes nothing from those behind it, nor from those that come later', async () => {
    const seen: string[] = [];
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', ({ message }) => seen.push(message));
    nodeHost.defer(() => seen.push('first'));
    nodeHost.defer(() => {
      throw new Error('a bug');
    });
    for (const says of ['second', 'third']) nodeHost.defer(() => seen.push(says));
    await new Promise((resolve) => setImmediate(resolve));
    nodeHost.defer(() => seen.push('later'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual(['first', 'a bug', 'second', 'third', 'later']);
  });
});

describe('the package', () => {
  it('has no dependency outside the project', () => {
    const { dependencies } = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    ) as { dependencies: Record<string, string> };
    expect(Object.keys(dependencies)).toEqual(['@ws/codec', '@ws/conn']);
  });
});

describe('nodeHost.view', () => {
  const bytes = Uint8Array.from({ length: 20 }, (_, i) => i).subarray(5);

  it('is a Buffer over the same bytes, so that a socket need not wrap it', () => {
    const view = nodeHost.view!(bytes, 2, 4);
    expect(view).toBeInstanceOf(Buffer);
    expect([...view]).toEqual([7, 8]);
    expect(view.buffer).toBe(bytes.buffer);
  });

  it('is the same object for the same part', () => {
    const view = nodeHost.view!(bytes, 2, 4);
    expect(nodeHost.view!(bytes, 2, 4)).toBe(view);
    expect([...nodeHost.view!(bytes, 2, 5)]).toEqual([7, 8, 9]);
    expect([...nodeHost.view!(bytes, 1, 5)]).toEqual([6, 7, 8, 9]);
    expect([...nodeHost.view!(bytes.slice(), 1, 5)]).toEqual([6, 7, 8, 9]);
  });

  it('does not keep large memory alive', () => {
    const large = new Uint8Array(65_537);
    expect(nodeHost.view!(large, 0, 1)).not.toBe(nodeHost.view!(large, 0, 1));
  });
});
