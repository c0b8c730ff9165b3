// What is inflated for a reader; the engine here makes every byte of the wire two.
import { FakeHost, naiveEncode, TestTransport } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import {
  type Deflater,
  type DeflateSource,
  DONE,
  type Inflater,
  MORE,
} from '../../src/deflate/engine.ts';
import { Conn } from '../../src/index.ts';

/** Makes two of each byte, and remembers into which memory. */
class Twice implements Inflater {
  readonly outputs: Set<Uint8Array>;
  used = 0;
  produced = 0;
  again = 0;
  limit = Infinity;

  constructor(outputs: Set<Uint8Array>) {
    this.outputs = outputs;
  }

  reset(): void {}

  write(
    input: Uint8Array,
    from: number,
    to: number,
    _last: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): typeof DONE | typeof MORE {
    this.outputs.add(output);
    this.used = Math.min(to - from, (end - at) >> 1);
    this.produced = this.used * 2;
    for (let i = 0; i < this.produced; i++) output[at + i] = input[from + (i >> 1)]!;
    return from + this.used < to ? MORE : DONE;
  }

  close(): void {}
}

/** A client that inflates what it is sent. */
function inflating() {
  const outputs = new Set<Uint8Array>();
  const deflate: DeflateSource = {
    memoryBudget: Infinity,
    generation: 0,
    inflater: () => new Twice(outputs),
    deflater: (): Deflater => {
      throw new Error('nothing is deflated here');
    },
    deflateLater: () => {
      throw new Error('nothing is deflated here');
    },
  };
  const host = Object.assign(new FakeHost(), { deflate });
  const transport = new TestTransport();
  const conn = new Conn(transport, {
    heartbeat: false,
    role: 'client',
    host,
    compression: true,
    deflate: {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 15,
      clientMaxWindowBits: 15,
    },
  });
  /** The peer sends a frame; the first of a message says that it is compressed. */
  const feed = (opcode: number, text: string, fin = true): void => {
    const rsv = opcode === 0 ? 0 : 0x40;
    transport.feed(naiveEncode(opcode, Buffer.from(text), { rsv, fin }));
  };
  return { conn, host, transport, feed, outputs };
}

describe('a compressed message that is read as a stream', () => {
  it('comes piece by piece, and each stays what it is when the next is inflated', async () => {
    const { conn, feed } = inflating();
    const next = conn.nextReader();
    const pieces: string[] = [];
    feed(1, 'ab', false);
    const reader = await next;
    const kept: Uint8Array[] = [];
    const reading = (async () => {
      for await (const piece of reader) {
        kept.push(piece);
        pieces.push(Buffer.from(piece).toString());
      }
    })();
    feed(0, 'cd', false);
    feed(0, 'ef');
    await reading;
    expect(pieces.join('')).toBe('aabbccddeeff');
    expect(Buffer.concat(kept).toString()).toBe('aabbccddeeff');
  });

  it('keeps its unread pieces while others are inflated, in memory that they have left', async () => {
    const { conn, feed, host, outputs } = inflating();
    const next = conn.nextReader();
    feed(1, 'a'.repeat(3000), false);
    const reader = await next;
    for (const letter of 'bcd') {
      feed(0, letter.repeat(3000), false);
      await host.settle();
    }
    feed(0, 'e');
    await host.settle();
    expect(await reader.text()).toBe(
      ['a', 'b', 'c', 'd']
        .map((letter) => letter.repeat(6000))
        .join('')
        .concat('ee'),
    );
    expect(outputs.size).toBe(1);
  });

  it('is taken up by who asks for a stream after its first part was inflated', async () => {
    const { conn, feed, host } = inflating();
    feed(1, 'ab', false);
    await host.settle();
    const reader = await conn.nextReader();
    feed(0, 'cd');
    expect(await reader.text()).toBe('aabbccdd');
  });

  it('that is left lets the next one be read', async () => {
    const { conn, feed, host } = inflating();
    const next = conn.nextReader();
    feed(1, 'ab', false);
    for await (const _ of await next) break;
    feed(0, 'cd', false);
    feed(0, 'ef');
    feed(1, 'next');
    await host.settle();
    expect((await conn.readMessage()).text()).toBe('nneexxtt');
  });
});

describe('a compressed message that a handler is lent', () => {
  it('is inflated into the same memory as the one before', async () => {
    const { conn, feed, host, outputs } = inflating();
    const seen: string[] = [];
    void conn.receive((message) => void seen.push(message.text()));
    await host.settle();
    for (const text of ['ab', 'cd', 'ef']) feed(1, text);
    await host.settle();
    expect(seen).toEqual(['aabb', 'ccdd', 'eeff']);
    expect(outputs.size).toBe(1);
  });

  it('is its own for as long as the handler has it', async () => {
    const { conn, feed, host } = inflating();
    const seen: string[] = [];
    const open: (() => void)[] = [];
    void conn.receive((message) => {
      return new Promise<void>((resolve) => {
        open.push(() => {
          seen.push(message.text());
          resolve();
        });
      });
    });
    await host.settle();
    for (const text of ['ab', 'cd', 'ef']) feed(1, text);
    for (let i = 0; i < 3; i++) {
      await host.settle();
      open[i]!();
    }
    await host.settle();
    expect(seen).toEqual(['aabb', 'ccdd', 'eeff']);
  });
});

describe('a large compressed message whose reader gives up while it is inflated', () => {
  it('stands paused for idleReadTimeout and no longer', async () => {
    const { conn, feed, host, transport } = inflating();
    await host.settle();
    const stop = new AbortController();
    const read = conn.readMessage({ signal: stop.signal });
    feed(2, 'x'.repeat(1 << 20));
    stop.abort(new Error('enough'));
    await expect(read).rejects.toThrow('enough');
    await host.advance(299_000);
    expect([transport.paused, conn.state]).toEqual([true, 'open']);
    await host.advance(2_000);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
  });
});
