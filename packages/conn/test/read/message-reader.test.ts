import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { Reader } from '../../src/connection/reader.ts';
import { ReadPendingError, TextMessage } from '../../src/index.ts';
import { MessageReader } from '../../src/read/message-reader.ts';
import { PieceQueue } from '../../src/read/piece-queue.ts';
import { wired } from '../wired.ts';

/** A reader, the pieces it reads, and what it asks of its connection. */
function readerOf(...initial: readonly string[]) {
  const platform = new FakePlatform();
  const pieces = new PieceQueue();
  const asked: string[] = [];
  const source: Partial<Reader> = {
    more: () => void asked.push('more'),
    taken: () => void asked.push('taken'),
    dropRest: () => void asked.push('drop the rest'),
    reportMistake: () => {},
  };
  const reader = new MessageReader(TextMessage, pieces, source as Reader, platform);
  const push = (piece: string): void => pieces.push(Uint8Array.from(Buffer.from(piece)));
  for (const piece of initial) push(piece);
  return { reader, pieces, platform, asked, push };
}

/** A reader of a message that is complete. */
function whole(...pieces: readonly string[]) {
  const read = readerOf(...pieces);
  read.pieces.end();
  return read;
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString();
}

const gone = { reason: new Error('gone') };

describe('MessageReader.read', () => {
  it('returns the bytes that are available, and 0 at the end of the message', async () => {
    const { reader, asked } = whole('abc', 'd');
    const into = new Uint8Array(2);
    expect([await reader.read(into), text(into)]).toEqual([2, 'ab']);
    expect([await reader.read(into), text(into)]).toEqual([2, 'cd']);
    expect(await reader.read(into)).toBe(0);
    expect(await reader.read(into)).toBe(0);
    expect(asked).toEqual(['taken', 'taken']);
  });

  it('requests more bytes when none are available, and waits for them', async () => {
    const { reader, asked, platform, push } = readerOf();
    const into = new Uint8Array(4);
    const read = reader.read(into);
    expect(asked).toContain('more');
    await platform.settle();
    expect(asked).not.toContain('taken');
    push('ab');
    expect(await read).toBe(2);
    const next = reader.read(into);
    push('c');
    expect(await next).toBe(1);
  });

  it('returns bytes that arrive during the request', async () => {
    const { reader, push } = readerOf();
    const source = reader.read(new Uint8Array(4));
    push('a');
    push('bc');
    expect(await source).toBe(3);
  });

  it('waits for the failure when the arrived bytes were dropped again', async () => {
    const { reader, push, pieces, platform } = readerOf();
    let end: unknown;
    reader.read(new Uint8Array(4)).catch((error: unknown) => (end = error));
    push('a');
    pieces.drop();
    push('bc');
    pieces.end();
    await platform.settle();
    expect(end).toBeUndefined();
    pieces.end(gone);
    await platform.settle();
    expect(end).toBe(gone.reason);
  });

  it('delivers the earlier bytes, then rejects with the error of the connection', async () => {
    const { reader, pieces } = readerOf('a');
    pieces.end(gone);
    expect(await reader.read(new Uint8Array(4))).toBe(1);
    await expect(reader.read(new Uint8Array(4))).rejects.toBe(gone.reason);
    await expect(reader.bytes()).rejects.toBe(gone.reason);
  });

  it('rejects an invalid target', async () => {
    const { reader } = whole('a');
    await expect(reader.read([] as never)).rejects.toBeInstanceOf(TypeError);
    await expect(reader.read(new Uint8Array(0))).rejects.toThrow('no room in an empty array');
    expect(await reader.read(new Uint8Array(1))).toBe(1);
  });

  it('consumes no bytes for an array that was transferred during the wait', async () => {
    const { reader, push } = readerOf();
    const into = new Uint8Array(4);
    const read = reader.read(into);
    structuredClone(into.buffer, { transfer: [into.buffer] });
    push('ab');
    await expect(read).rejects.toThrow(/detached while it waited/);
    expect(await reader.read(new Uint8Array(4))).toBe(2);
  });
});

describe('a read whose array was transferred after bytes had arrived in it', () => {
  it.each([false, true])('ends the message, which lacks them: whole %s', async (isWhole) => {
    const { conn, feed, frame, platform } = wired('server');
    const next = conn.nextReader();
    feed(frame(2, 'first', { fin: false }));
    const reader = await next;
    await reader.read(new Uint8Array(10));
    const into = new Uint8Array(10);
    const read = reader.read(into);
    await platform.settle();
    feed(frame(0, 'lost', { fin: isWhole }));
    structuredClone(into.buffer, { transfer: [into.buffer] });
    await expect(read).rejects.toThrow(/detached while it waited/);
    if (!isWhole) feed(frame(0, 'rest'));
    feed(frame(1, 'next'));
    await expect(reader.read(new Uint8Array(10))).rejects.toThrow(
      /rest of this message was dropped/,
    );
    expect((await conn.readMessage()).text()).toBe('next');
  });
});

describe('two reads of one message', () => {
  it.each([
    ['read', (reader: MessageReader) => reader.read(new Uint8Array(4))],
    ['bytes', (reader: MessageReader) => reader.bytes()],
    ['text', (reader: MessageReader) => reader.text()],
    ['an iterator', (reader: MessageReader) => reader[Symbol.asyncIterator]().next()],
  ] as const)('conflict: %s holds the message until it settles', async (_, begin) => {
    const { reader, push, pieces } = readerOf();
    const first = begin(reader);
    for (const second of [reader.read(new Uint8Array(4)), reader.bytes()]) {
      await expect(second).rejects.toBeInstanceOf(ReadPendingError);
      await expect(second).rejects.toThrow('a read of the message while another is pending');
    }
    push('ab');
    pieces.end();
    await first;
    expect(await reader.read(new Uint8Array(4))).toBe(0);
    expect(await reader.bytes()).toHaveLength(0);
  });

  it('continue after a failed one', async () => {
    const { reader, pieces } = readerOf();
    const first = reader.read(new Uint8Array(4));
    pieces.end(gone);
    for (const read of [() => first, () => reader.read(new Uint8Array(4)), () => reader.bytes()])
      await expect(read()).rejects.toBe(gone.reason);
  });
});

describe('iteration of a MessageReader', () => {
  it('yields owned pieces up to the end', async () => {
    const { reader, pieces } = readerOf();
    const all = Uint8Array.from(Buffer.from('abcd'));
    pieces.push(all.subarray(0, 1));
    pieces.push(all.subarray(1));
    pieces.end();
    const got: Uint8Array[] = [];
    for await (const piece of reader) if (got.push(piece) > 2) break;
    expect(got.map(text)).toEqual(['a', 'bcd']);
    expect(got.map(({ buffer }) => buffer.byteLength)).toEqual([1, 3]);
    expect(got.some(({ buffer }) => buffer === all.buffer)).toBe(false);
  });

  it('is done at the end, permanently', async () => {
    const { reader, asked } = whole('a');
    const pieces = reader[Symbol.asyncIterator]();
    expect(pieces[Symbol.asyncIterator]()).toBe(pieces);
    expect(await pieces.next()).toEqual({ done: false, value: Uint8Array.of(0x61) });
    for (let i = 0; i < 2; i++)
      expect(await pieces.next()).toEqual({ done: true, value: undefined });
    expect(asked).not.toContain('drop the rest');
  });

  it('drops the rest after a break', async () => {
    const { reader, asked } = whole('a', 'b');
    const pieces = reader[Symbol.asyncIterator]();
    expect(await pieces.return!()).toEqual({ done: true, value: undefined });
    expect(asked).toEqual(['drop the rest']);
  });

  it('throws the error that ended the connection', async () => {
    const { reader, pieces } = readerOf();
    pieces.end(gone);
    await expect(reader[Symbol.asyncIterator]().next()).rejects.toBe(gone.reason);
  });
});

describe('MessageReader.readable', () => {
  it('reads on demand', async () => {
    const { reader, asked, platform } = whole('ab', 'c');
    const stream = reader.readable();
    await platform.settle();
    expect(asked).toEqual([]);
    const chunks: string[] = [];
    for await (const chunk of stream) if (chunks.push(text(chunk)) > 2) break;
    expect(chunks).toEqual(['ab', 'c']);
  });

  it('drops the rest when it is cancelled', async () => {
    const { reader, asked } = whole('ab');
    await reader.readable().cancel();
    expect(asked).toEqual(['drop the rest']);
  });
});

describe('MessageReader.bytes', () => {
  it.each([
    { pieces: [] },
    { pieces: ['abc'] },
    { pieces: ['abc', 'd'] },
    { pieces: ['a', 'bcdefgh', 'i', 'jk', 'l'] },
  ])('joins $pieces in memory of their size', async ({ pieces }) => {
    const { reader } = whole(...pieces);
    const bytes = await reader.bytes();
    expect(text(bytes)).toBe(pieces.join(''));
    expect(bytes.buffer.byteLength).toBe(bytes.length);
  });

  it('returns the rest of a partly read message', async () => {
    const { reader } = whole('abc', 'de');
    await reader.read(new Uint8Array(2));
    expect(await reader.text()).toBe('cde');
  });

  it('are the source of text() and json()', async () => {
    expect(await whole('t\u00eb', 'xt').reader.text()).toBe('tëxt');
    expect(await whole('{"a"', ':1}').reader.json()).toEqual({ a: 1 });
    await expect(whole('{').reader.json()).rejects.toBeInstanceOf(SyntaxError);
  });
});

describe('reads of available bytes', () => {
  it('do not block the message, since they do not wait', async () => {
    const { reader } = whole('abcd');
    const [first, second, third] = [new Uint8Array(3), new Uint8Array(3), new Uint8Array(3)];
    const reads = [reader.read(first), reader.read(second), reader.read(third)];
    expect(await Promise.all(reads)).toEqual([3, 1, 0]);
    expect([text(first), second[0]]).toEqual(['abc', 0x64]);
  });

  it('request more bytes only when none are available', async () => {
    const { reader, asked, push } = readerOf('ab');
    await reader.read(new Uint8Array(2));
    expect(asked).toEqual(['taken']);
    const next = reader.read(new Uint8Array(2));
    push('c');
    await next;
    expect(asked.at(-1)).toBe('taken');
    expect(asked).toContain('more');
  });

  it('return the whole of a message that was complete before', async () => {
    const { reader, asked } = whole();
    expect(await reader.read(new Uint8Array(2))).toBe(0);
    expect(asked).toEqual([]);
  });
});
