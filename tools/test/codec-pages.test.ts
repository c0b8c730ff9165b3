// Programs on pages that read frames, write frames or carry bytes, with hostile input.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import {
  CloseCode,
  type DecodeEvent,
  encodeFrame,
  FrameDecoder,
  formatCloseMessage,
  ProtocolError,
  sharedMessageBuffers,
} from '@ws/codec';
import type { Transport } from '@ws/conn';
import { transportRules } from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Snippet, snippets } from '../snippets.ts';

const root = join(import.meta.dirname, '../..');
const folder = join(root, '.out/codec-pages');
const all = snippets(root).map((snippet) => ({
  ...snippet,
  title: `${snippet.file}:${snippet.line}`,
}));

/** Limit for calls of `next()`: a wrong loop ends with an error instead of never. */
const MAX_STEPS = 10_000;
const next: (this: FrameDecoder) => DecodeEvent = Reflect.get(FrameDecoder.prototype, 'next');
let steps = 0;

beforeEach(() => {
  steps = 0;
  FrameDecoder.prototype.next = function () {
    if (++steps > MAX_STEPS) throw new Error('the loop never ends');
    return next.call(this);
  };
});
afterEach(() => {
  FrameDecoder.prototype.next = next;
  vi.restoreAllMocks();
});

/** Imports a new copy of a snippet, with these of its names. Records what it prints. */
async function load<T>(snippet: Snippet, names: string): Promise<T & { printed: unknown[] }> {
  const printed: unknown[] = [];
  vi.spyOn(console, 'log').mockImplementation((...values) => void printed.push(...values));
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${copies++}.ts`);
  writeFileSync(file, `${snippet.code}\nexport { ${names} };\n`);
  const program: T = await import(/* @vite-ignore */ file);
  printed.length = 0;
  return { ...program, printed };
}

let copies = 0;

describe('a page that reads frames', () => {
  const readers = all.filter(({ code }) => /\bdecoder\.next\(\)/.test(code));

  interface Reader {
    readonly receive: (chunk: Uint8Array) => void;
  }

  /** Loads a reader in its first state, and the encoder of its peer. */
  async function read(snippet: Snippet) {
    const { receive, printed } = await load<Reader>(snippet, 'receive');
    const masks = /Decoder\(\{ role: 'server'/.test(snippet.code);
    return {
      receive,
      size: () => sizeOf(printed),
      frame: (opcode: number, payload: Uint8Array | string) => {
        const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
        return encodeFrame(opcode, bytes, masks ? { maskKey: 0x37fa213d } : {});
      },
    };
  }

  it('exists in the page and the classes', () => {
    expect(new Set(readers.map(({ file }) => file))).toEqual(
      new Set([
        'docs/codec.md',
        'packages/codec/src/frames/decoder.ts',
        'packages/codec/src/messages/extension.ts',
        'packages/codec/src/messages/message-decoder.ts',
      ]),
    );
  });

  it.each(readers)('stops after a bad frame: $title', async (snippet) => {
    const { receive, frame, size } = await read(snippet);
    const bad = Uint8Array.of(0xf1, 0);
    const stream = Buffer.concat([frame(1, 'good'), bad, frame(1, 'behind it')]);
    expect(() => receive(Uint8Array.from(stream))).toThrow(ProtocolError);
    expect(size()).toBe(4);
    expect(() => receive(frame(1, 'later'))).toThrow(ProtocolError);
    expect(size()).toBe(4);
  });

  it.each(readers)('ignores data after a close frame: $title', async (snippet) => {
    const { receive, frame, size } = await read(snippet);
    const goodbye = frame(8, formatCloseMessage(CloseCode.NormalClosure));
    receive(Uint8Array.from(Buffer.concat([goodbye, frame(1, 'behind it'), goodbye])));
    receive(frame(1, 'later'));
    expect(size()).toBe(2);
  });

  it.each(readers)('reads a frame that is cut anywhere: $title', async (snippet) => {
    const { receive, frame, size } = await read(snippet);
    const { length } = frame(1, 'hello');
    for (let cut = 1; cut < length; cut++) {
      const bytes = frame(1, 'hello');
      receive(bytes.slice(0, cut));
      receive(bytes.slice(cut));
      expect(size()).toBe(5 * cut);
    }
  });

  it.each(readers)('reads a frame of 5 KiB in two chunks, and the next one: $title', async (s) => {
    const { receive, frame, size } = await read(s);
    const bytes = frame(2, new Uint8Array(5 * 1024).fill(0x61));
    receive(bytes.slice(0, 2_000));
    receive(Uint8Array.from(Buffer.concat([bytes.slice(2_000), frame(1, 'next')])));
    receive(frame(1, 'last'));
    expect(size()).toBe(5 * 1024 + 8);
  });

  const leasing = readers.filter(({ code }) => code.includes('sharedMessageBuffers()'));

  it('leases memory in one example', () => {
    expect(leasing.map(({ file }) => file)).toEqual(['packages/codec/src/frames/decoder.ts']);
  });

  it.each(leasing)('gives back the memory of a frame that is cut off: $title', async (snippet) => {
    interface Leasing extends Reader {
      readonly end: () => void;
    }
    const { receive, end } = await load<Leasing>(snippet, 'receive, end');
    const before = sharedMessageBuffers().lent;
    const bytes = encodeFrame(2, new Uint8Array(5 * 1024), { maskKey: 0x37fa213d });
    for (const cut of [100, bytes.length - 1]) {
      receive(bytes.slice(0, cut));
      expect(sharedMessageBuffers().lent).toBe(before + 1);
      end();
      expect(sharedMessageBuffers().lent).toBe(before);
    }
  });
});

/** Bytes of payload that a snippet printed: their text or themselves, or else only their number. */
function sizeOf(printed: readonly unknown[]): number {
  const payloads = printed.filter((v) => v instanceof Uint8Array || typeof v === 'string');
  const sizes =
    payloads.length > 0 ? payloads.map(({ length }) => length) : (printed as readonly number[]);
  return sizes.reduce((sum, size) => sum + size, 0);
}

describe('a page that writes frames', () => {
  it('uses flush or bytes, which release the memory', () => {
    expect(all.filter(({ code }) => code.includes('segBuf'))).toEqual([]);
  });
});

describe('the MessagePort transport of docs/custom-transports.md', () => {
  const page = all.find(({ code }) => code.includes('function overPort('))!;

  interface Program {
    readonly overPort: (port: MessagePort) => Transport;
  }

  const rules = transportRules.filter(({ title }) =>
    [
      'sends the bytes of a view, and not the memory around it',
      'delivers written bytes in order, in both directions',
      'delivers a thousand single bytes and a chunk of 5 MiB',
      'delivers owned chunks, which the receiver may change',
    ].includes(title),
  );

  it.each(rules)('$title', async ({ check }) => {
    const { overPort } = await load<Program>(page, 'overPort');
    const { port1, port2 } = new MessageChannel();
    await check({ near: overPort(port1), far: overPort(port2) });
    port1.close();
  });
});
