import { FakeHost } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { ReadPendingError, TextMessage } from '../src/index.ts';
import { Inflow } from '../src/inflow.ts';
import { MessageReader } from '../src/message-reader.ts';

/** A reader, the pieces it reads, and what it asks of its connection. */
function readerOf(...pieces: readonly string[]) {
  const host = new FakeHost();
  const inflow = new Inflow();
  const asked: string[] = [];
  const reader = new MessageReader(
    TextMessage,
    inflow,
    {
      more: () => void asked.push('more'),
      taken: () => void asked.push('taken'),
      leave: () => void asked.push('leave'),
    },
    host,
  );
  const push = (piece: string): void => inflow.push(Uint8Array.from(Buffer.from(piece)));
  for (const piece of pieces) push(piece);
  return { reader, inflow, host, asked, push };
}

/** A reader of a message that is complete. */
function whole(...pieces: readonly string[]) {
  const read = readerOf(...pieces);
  read.inflow.finish();
  return read;
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString();
}

const gone = { reason: new Error('gone') };

describe('MessageReader.read', () => {
  it('gives what is there, and 0 at the end of the message', async () => {
    const { reader, asked } = whole('abc', 'd');
    const into = new Uint8Array(2);
    expect([await reader.read(into), text(into)]).toEqual([2, 'ab']);
    expect([await reader.read(into), text(into)]).toEqual([2, 'cd']);
    expect(await reader.read(into)).toBe(0);
    expect(await reader.read(into)).toBe(0);
    expect(asked).toEqual(['taken', 'taken']);
  });

  it('asks for more when there is nothing, and waits for it', async () => {
    const { reader, asked, host, push } = readerOf();
    const into = new Uint8Array(4);
    const read = reader.read(into);
    expect(asked).toContain('more');
    await host.settle();
    expect(asked).not.toContain('taken');
    push('ab');
    expect(await read).toBe(2);
    const next = reader.read(into);
    push('c');
    expect(await next).toBe(1);
  });

  it('takes what comes while it asks', async () => {
    const { reader, push, inflow } = readerOf();
    const source = reader.read(new Uint8Array(4));
    push('a');
    inflow.clear();
    push('bc');
    expect(await source).toBe(2);
  });

  it('waits on when what came was dropped again', async () => {
    const { reader, push, inflow, host } = readerOf();
    let read = -1;
    void reader.read(new Uint8Array(4)).then((n) => (read = n));
    push('a');
    inflow.clear();
    await host.settle();
    expect(read).toBe(-1);
    push('bc');
    await host.settle();
    expect(read).toBe(2);
  });

  it('rejects with what ended the connection, after all that came before', async () => {
    const { reader, inflow } = readerOf('a');
    inflow.finish(gone);
    expect(await reader.read(new Uint8Array(4))).toBe(1);
    await expect(reader.read(new Uint8Array(4))).rejects.toBe(gone.reason);
    await expect(reader.bytes()).rejects.toBe(gone.reason);
  });

  it('refuses what cannot be read into', async () => {
    const { reader } = whole('a');
    await expect(reader.read([] as never)).rejects.toBeInstanceOf(TypeError);
    await expect(reader.read(new Uint8Array(0))).rejects.toThrow('no room in an empty array');
    expect(await reader.read(new Uint8Array(1))).toBe(1);
  });

  it('takes nothing for an array that was given away while it waited', async () => {
    const { reader, push } = readerOf();
    const into = new Uint8Array(4);
    const read = reader.read(into);
    structuredClone(into.buffer, { transfer: [into.buffer] });
    push('ab');
    await expect(read).rejects.toThrow(/detached while it waited/);
    expect(await reader.read(new Uint8Array(4))).toBe(2);
  });
});

describe('two reads of one message', () => {
  it.each([
    ['read', (reader: MessageReader) => reader.read(new Uint8Array(4))],
    ['bytes', (reader: MessageReader) => reader.bytes()],
    ['text', (reader: MessageReader) => reader.text()],
    ['an iterator', (reader: MessageReader) => reader[Symbol.asyncIterator]().next()],
  ] as const)('clash: %s holds it until it is settled', async (_, begin) => {
    const { reader, push, inflow } = readerOf();
    const first = begin(reader);
    for (const second of [reader.read(new Uint8Array(4)), reader.bytes()]) {
      await expect(second).rejects.toBeInstanceOf(ReadPendingError);
      await expect(second).rejects.toThrow('a read of the message while another is pending');
    }
    push('ab');
    inflow.finish();
    await first;
    expect(await reader.read(new Uint8Array(4))).toBe(0);
    expect(await reader.bytes()).toHaveLength(0);
  });

  it('go on after one that failed', async () => {
    const { reader, inflow } = readerOf();
    const first = reader.read(new Uint8Array(4));
    inflow.finish(gone);
    for (const read of [() => first, () => reader.read(new Uint8Array(4)), () => reader.bytes()])
      await expect(read()).rejects.toBe(gone.reason);
  });
});

describe('a MessageReader that is iterated', () => {
  it('gives pieces of the caller’s own, to the end', async () => {
    const { reader, inflow } = readerOf();
    const all = Uint8Array.from(Buffer.from('abcd'));
    inflow.push(all.subarray(0, 1));
    inflow.push(all.subarray(1));
    inflow.finish();
    const pieces: Uint8Array[] = [];
    for await (const piece of reader) if (pieces.push(piece) > 2) break;
    expect(pieces.map(text)).toEqual(['a', 'bcd']);
    expect(pieces.map(({ buffer }) => buffer.byteLength)).toEqual([1, 3]);
    expect(pieces.some(({ buffer }) => buffer === all.buffer)).toBe(false);
  });

  it('is done at the end, and stays so', async () => {
    const { reader, asked } = whole('a');
    const pieces = reader[Symbol.asyncIterator]();
    expect(pieces[Symbol.asyncIterator]()).toBe(pieces);
    expect(await pieces.next()).toEqual({ done: false, value: Uint8Array.of(0x61) });
    for (let i = 0; i < 2; i++)
      expect(await pieces.next()).toEqual({ done: true, value: undefined });
    expect(asked).not.toContain('leave');
  });

  it('leaves the rest when it is left', async () => {
    const { reader, asked } = whole('a', 'b');
    const pieces = reader[Symbol.asyncIterator]();
    expect(await pieces.return!()).toEqual({ done: true, value: undefined });
    expect(asked).toEqual(['leave']);
  });

  it('throws what ended the connection', async () => {
    const { reader, inflow } = readerOf();
    inflow.finish(gone);
    await expect(reader[Symbol.asyncIterator]().next()).rejects.toBe(gone.reason);
  });
});

describe('MessageReader.readable', () => {
  it('pulls when it is read, not before', async () => {
    const { reader, asked, host } = whole('ab', 'c');
    const stream = reader.readable();
    await host.settle();
    expect(asked).toEqual([]);
    const chunks: string[] = [];
    for await (const chunk of stream) if (chunks.push(text(chunk)) > 2) break;
    expect(chunks).toEqual(['ab', 'c']);
  });

  it('leaves the rest when it is cancelled', async () => {
    const { reader, asked } = whole('ab');
    await reader.readable().cancel();
    expect(asked).toEqual(['leave']);
  });
});

describe('MessageReader.bytes', () => {
  it.each([
    { pieces: [] },
    { pieces: ['abc'] },
    { pieces: ['abc', 'd'] },
    { pieces: ['a', 'bcdefgh', 'i', 'jk', 'l'] },
  ])('puts $pieces together, in memory of their size', async ({ pieces }) => {
    const { reader } = whole(...pieces);
    const bytes = await reader.bytes();
    expect(text(bytes)).toBe(pieces.join(''));
    expect(bytes.buffer.byteLength).toBe(bytes.length);
  });

  it('is what is left of a message that was read in part', async () => {
    const { reader } = whole('abc', 'de');
    await reader.read(new Uint8Array(2));
    expect(await reader.text()).toBe('cde');
  });

  it('is the text, and the JSON', async () => {
    expect(await whole('t\u00eb', 'xt').reader.text()).toBe('tëxt');
    expect(await whole('{"a"', ':1}').reader.json()).toEqual({ a: 1 });
    await expect(whole('{').reader.json()).rejects.toBeInstanceOf(SyntaxError);
  });
});

describe('reads of what is there already', () => {
  it('hold the message for no moment: nobody needs to wait for them', async () => {
    const { reader } = whole('abcd');
    const [first, second, third] = [new Uint8Array(3), new Uint8Array(3), new Uint8Array(3)];
    const reads = [reader.read(first), reader.read(second), reader.read(third)];
    expect(await Promise.all(reads)).toEqual([3, 1, 0]);
    expect([text(first), second[0]]).toEqual(['abc', 0x64]);
  });

  it('ask for more only when there is nothing', async () => {
    const { reader, asked, push } = readerOf('ab');
    await reader.read(new Uint8Array(2));
    expect(asked).toEqual(['taken']);
    const next = reader.read(new Uint8Array(2));
    push('c');
    await next;
    expect(asked.at(-1)).toBe('taken');
    expect(asked).toContain('more');
  });

  it('give the whole of a message that was complete before it is asked for', async () => {
    const { reader, asked } = whole();
    expect(await reader.read(new Uint8Array(2))).toBe(0);
    expect(asked).toEqual([]);
  });
});
