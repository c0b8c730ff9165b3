import { type Role, type SlabSource, sharedSlabPool, type WebSocketError } from '@ws/codec';
import { FakeHost, naiveDecode, TestTransport } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import {
  BackpressureError,
  BinaryMessage,
  CloseSentError,
  type ConnSettings,
  PingMessage,
  PongMessage,
  TextMessage,
  TimeoutError,
  TransportError,
} from '../src/index.ts';
import { resolveSettings } from '../src/options.ts';
import { Outbox, type OutboxOwner } from '../src/outbox.ts';
import { done } from '../src/promises.ts';
import { show } from './raw-peer.ts';

/** A transport that tells the order in which it is used. */
class ToldTransport extends TestTransport {
  readonly calls: string[] = [];
  readonly chunks: Uint8Array[] = [];
  /** Whether it is blocked by each write. */
  takesOne = false;

  override write(chunk: Uint8Array, release?: () => void): boolean {
    if (this.takesOne) this.block();
    this.calls.push(`write ${chunk.length}`);
    this.chunks.push(chunk);
    return super.write(chunk, release);
  }

  override cork(): void {
    this.calls.push('cork');
  }

  override uncork(): void {
    this.calls.push('uncork');
  }
}

interface Beside {
  readonly role?: Role;
  /** What the transport holds before it is blocked. */
  readonly mark?: number;
  readonly pool?: SlabSource;
}

/** An outbox with nobody behind it, and what it asks of its owner. */
function outboxOf(
  settings: ConnSettings = {},
  { role = 'server', mark = 0, pool = sharedSlabPool() }: Beside = {},
) {
  const host = new FakeHost({ automatic: false });
  const watched: string[] = [];
  const conn = {};
  Object.assign(host, {
    watch: {
      messageOut(of: object, type: number, bytes: number) {
        expect(of).toBe(conn);
        watched.push(`${type} of ${bytes}`);
      },
    },
  });
  const transport = new ToldTransport({ highWaterMark: mark });
  const outbox = new Outbox(role, host, resolveSettings(settings, role), pool);
  const asked: string[] = [];
  const aborted: WebSocketError[] = [];
  const owner: OutboxOwner & { flushes: boolean } = {
    framesOut: 0,
    messagesOut: 0,
    bytesOut: 0,
    pingsOut: 0,
    conn,
    transport,
    flushes: false,
    flushLater: () => void asked.push('flush'),
    rest: () => void asked.push('rest'),
    abort(error) {
      aborted.push(error);
      outbox.refuse(error);
    },
  };
  transport.start({ data() {}, end() {}, close() {}, drain: () => outbox.drained() });
  outbox.serve(owner);
  return {
    outbox,
    host,
    transport,
    owner,
    asked,
    aborted,
    watched,
    sent: () => {
      const { frames } = naiveDecode(transport.sent, role === 'server' ? 'client' : 'server');
      return frames.map(show);
    },
    /** The transport takes no more, with a frame of `payload` bytes on its way. */
    block: (payload = 0): void => {
      transport.block();
      void outbox.message(BinaryMessage, new Uint8Array(payload), 0, payload);
      outbox.flush();
    },
  };
}

/** What has become of a promise so far. */
async function stateOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise.then(() => 'resolved'), Promise.resolve().then(() => 'pending')]);
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}

const noBuffer: SlabSource = {
  take() {
    throw new Error('no memory');
  },
};

describe.each(['server', 'client'] as const)('the outbox of a %s', (role) => {
  it('gathers what one turn has, and hands it over in one write', async () => {
    const { outbox, transport, owner, asked, watched, sent } = outboxOf({}, { role });
    expect([outbox.pending, outbox.unsent, outbox.atRest]).toEqual([false, false, true]);
    expect(outbox.text(TextMessage, 'ä')).toBe(done);
    expect(outbox.message(BinaryMessage, bytesOf('-abc-'), 1, 4)).toBe(done);
    expect(outbox.control(PingMessage, bytesOf('-p-'), 1, 2)).toBe(done);
    expect([outbox.pending, outbox.unsent, outbox.atRest]).toEqual([true, true, false]);
    expect(transport.writes).toEqual([]);
    expect(asked).toEqual(['flush', 'flush', 'flush']);
    const size = role === 'server' ? 12 : 24;
    expect(outbox.bufferedAmount).toBe(size);
    outbox.flush();
    expect(transport.calls).toEqual([`write ${size}`]);
    expect(sent()).toEqual(['text ä', 'binary abc', 'ping p']);
    expect(owner).toMatchObject({ framesOut: 3, messagesOut: 2, bytesOut: size, pingsOut: 1 });
    expect(watched).toEqual(['1 of 2', '2 of 3']);
    expect([outbox.pending, outbox.bufferedAmount, outbox.atRest]).toEqual([false, 0, true]);
  });

  it('hands over what waits as soon as it fills the largest slab', () => {
    const { outbox, transport, asked } = outboxOf({}, { role });
    const header = role === 'server' ? 4 : 8;
    const payload = new Uint8Array(65_536 - header);
    void outbox.message(BinaryMessage, payload, 1, payload.length);
    expect([transport.writes.length, asked]).toEqual([0, ['flush']]);
    outbox.flush();
    void outbox.message(BinaryMessage, payload, 0, payload.length);
    expect([transport.writes.length, asked]).toEqual([2, ['flush']]);
  });

  it('does so for a flood of control frames too', () => {
    const { outbox, transport, asked } = outboxOf({}, { role });
    const header = role === 'server' ? 4 : 8;
    const control = role === 'server' ? 2 : 6;
    const payload = new Uint8Array(65_536 - header - control - 10);
    void outbox.message(BinaryMessage, payload, 0, payload.length);
    void outbox.control(PongMessage, new Uint8Array(9), 0, 9);
    expect([transport.writes.length, asked]).toEqual([0, ['flush', 'flush']]);
    outbox.flush();
    void outbox.message(BinaryMessage, payload, 0, payload.length);
    void outbox.control(PongMessage, new Uint8Array(10), 0, 10);
    expect([transport.writes.length, asked.length]).toEqual([2, 3]);
  });
});

describe('a large message', () => {
  const size = 65_537;

  it('is referred to until the transport has it, unmasked', async () => {
    const { outbox, host, transport, owner, asked, watched } = outboxOf({}, { mark: 100 });
    transport.block();
    const bytes = new Uint8Array(size);
    const written = outbox.message(BinaryMessage, bytes, 0, size);
    expect(owner).toMatchObject({ framesOut: 1, messagesOut: 1, bytesOut: size + 10 });
    expect(watched).toEqual([`2 of ${size}`]);
    outbox.flush();
    expect(transport.chunks.at(-1)!.buffer === bytes.buffer).toBe(true);
    await host.settle();
    expect([await stateOf(written), outbox.atRest]).toEqual(['pending', false]);
    asked.length = 0;
    transport.drain();
    await host.settle();
    expect([await stateOf(written), outbox.atRest, asked]).toEqual(['resolved', true, ['rest']]);
  });

  it('of two keeps the connection at work until both have gone', async () => {
    const { outbox, host, transport, asked } = outboxOf({}, { mark: 200_000 });
    transport.block();
    const both = [0, 1].map(() => outbox.message(BinaryMessage, new Uint8Array(size), 0, size));
    outbox.flush();
    asked.length = 0;
    transport.drain(2);
    await host.settle();
    expect(await Promise.all(both.map(stateOf))).toEqual(['resolved', 'pending']);
    expect([outbox.atRest, asked]).toEqual([false, []]);
    transport.drain();
    await host.settle();
    expect([await stateOf(both[1]!), asked]).toEqual(['resolved', ['rest']]);
  });

  it.each([
    ['of no more than 64 KiB', 'server', size - 1],
    ['of a client, which masks it', 'client', size],
  ] as const)('%s is copied', async (_, role, length) => {
    const { outbox, transport, sent } = outboxOf({}, { role });
    const bytes = new Uint8Array(length).fill(1);
    expect(await stateOf(outbox.message(BinaryMessage, bytes, 0, length))).toBe('resolved');
    bytes.fill(2);
    outbox.flush();
    expect(sent()).toEqual([`binary <${length}>`]);
    expect(transport.chunks.every(({ buffer }) => buffer !== bytes.buffer)).toBe(true);
    const { frames } = naiveDecode(transport.sent, role === 'server' ? 'client' : 'server');
    expect([...new Set(frames[0]!.payload)]).toEqual([1]);
  });

  it('goes in the same burst as what stands around it', () => {
    const { outbox, transport } = outboxOf();
    void outbox.text(TextMessage, 'before');
    void outbox.message(BinaryMessage, new Uint8Array(size), 0, size);
    expect(transport.calls[0]).toBe('cork');
    expect(transport.calls.at(-1)).toBe('uncork');
    expect(transport.calls.filter((call) => call.startsWith('write'))).toEqual([
      'write 18',
      `write ${size}`,
    ]);
  });

  it('whose bytes are gone ends the connection, and says why', async () => {
    const { outbox, transport, aborted, host, block } = outboxOf();
    block();
    const bytes = new Uint8Array(size);
    void outbox.message(BinaryMessage, bytes, 0, size);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    transport.drain();
    await host.settle();
    expect(aborted).toEqual([expect.any(TransportError)]);
    expect(aborted[0]!.message).toContain('bytes of a pending write were detached');
  });

  it('is refused with the reason when the connection ends before it has left', async () => {
    const { outbox, host, block } = outboxOf();
    block();
    const written = outbox.message(BinaryMessage, new Uint8Array(size), 0, size);
    const error = new TransportError('gone');
    outbox.destroy(error);
    await host.settle();
    await expect(written).rejects.toBe(error);
    expect([outbox.unsent, outbox.error]).toEqual([false, error]);
    await expect(outbox.text(TextMessage, 'x')).rejects.toBe(error);
  });
});

describe('a turn with very much to send', () => {
  it('makes the thousandth write wait for the next, and those after it', async () => {
    const { outbox, host, asked } = outboxOf();
    for (let i = 0; i < 999; i++) expect(outbox.text(TextMessage, 'x')).toBe(done);
    const late = [outbox.text(TextMessage, 'x'), outbox.text(TextMessage, 'x')];
    expect(late[1]).toBe(late[0]);
    expect(host.yielded).toBe(1);
    expect([await stateOf(late[0]!), outbox.atRest]).toEqual(['pending', false]);
    asked.length = 0;
    host.runYielded();
    expect([await stateOf(late[0]!), asked]).toEqual(['resolved', ['rest']]);
    for (let i = 0; i < 999; i++) expect(outbox.text(TextMessage, 'x')).toBe(done);
    expect(outbox.text(TextMessage, 'x')).not.toBe(done);
  });

  it('is over with the flush', () => {
    const { outbox } = outboxOf();
    for (let turn = 0; turn < 3; turn++) {
      for (let i = 0; i < 999; i++) expect(outbox.text(TextMessage, 'x')).toBe(done);
      outbox.flush();
    }
  });

  it('is forgotten by whoever the outbox serves next', () => {
    const { outbox, owner } = outboxOf();
    for (let i = 0; i < 999; i++) void outbox.text(TextMessage, 'x');
    void outbox.compressed(BinaryMessage, new Uint8Array(1), 0, 1, 100_000);
    outbox.leaveOwner();
    outbox.serve(owner);
    expect(outbox.text(TextMessage, 'x')).toBe(done);
  });

  it('counts bytes: the write that reaches 1 MiB waits', () => {
    const { outbox } = outboxOf();
    const payload = new Uint8Array(65_532);
    for (let i = 0; i < 15; i++)
      expect(outbox.message(BinaryMessage, payload, 0, payload.length)).toBe(done);
    expect(outbox.message(BinaryMessage, payload, 1, payload.length)).toBe(done);
    expect(outbox.text(TextMessage, '')).not.toBe(done);
  });

  const one = Uint8Array.of(1);

  it.each([
    {
      what: 'a compressed message',
      send: (outbox: Outbox, plain: number) => outbox.compressed(BinaryMessage, one, 0, 1, plain),
    },
    {
      what: 'a compressed fragment',
      send: (outbox: Outbox, plain: number) => {
        return outbox.fragment(BinaryMessage, false, one, 0, 1, plain, 0x40);
      },
    },
    {
      what: 'a compressed message that others send too',
      send: (outbox: Outbox, plain: number) => outbox.shared(BinaryMessage, one, 0x40, plain),
    },
  ])('counts eight times the plain bytes of $what', ({ send }) => {
    // With its frame of three bytes.
    const below = outboxOf();
    expect(send(below.outbox, 131_071)).toBe(done);
    const reached = outboxOf();
    expect(send(reached.outbox, 131_072)).not.toBe(done);
  });
});

describe('a message that is compressed, or one of many', () => {
  it('says so in its first byte, and counts as its plain bytes', () => {
    const { outbox, transport, owner, watched } = outboxOf();
    void outbox.compressed(BinaryMessage, Uint8Array.of(9, 1, 2, 9), 1, 3, 500);
    outbox.flush();
    void outbox.shared(TextMessage, Uint8Array.of(3), 0x40, 600);
    void outbox.shared(TextMessage, Uint8Array.of(4), 0, 700);
    outbox.flush();
    expect([...transport.sent]).toEqual([0xc2, 2, 1, 2, 0xc1, 1, 3, 0x81, 1, 4]);
    expect(watched).toEqual(['2 of 500', '1 of 600', '1 of 700']);
    expect(owner).toMatchObject({ framesOut: 3, messagesOut: 3, bytesOut: 10 });
  });

  it('is serialized once for all who send it, and taken apart for those who have more', () => {
    const { outbox, transport, asked } = outboxOf();
    void outbox.shared(TextMessage, bytesOf('all'), 0, 3);
    expect([outbox.pending, outbox.bufferedAmount, asked]).toEqual([true, 5, []]);
    void outbox.text(TextMessage, 'mine');
    expect(outbox.bufferedAmount).toBe(11);
    expect(asked).toContain('flush');
    void outbox.shared(TextMessage, bytesOf('all again'), 0, 9);
    outbox.flush();
    expect(transport.writes).toHaveLength(1);
    expect(naiveDecode(transport.sent, 'client').frames.map(show)).toEqual([
      'text all',
      'text mine',
      'text all again',
    ]);
  });

  it('leaves with the flush of all, unless its owner flushes by itself', () => {
    const { outbox, transport, owner, asked, host } = outboxOf();
    void outbox.shared(TextMessage, bytesOf('all'), 0, 3);
    owner.flushes = true;
    host.runDeferred();
    expect(transport.writes).toEqual([]);
    owner.flushes = false;
    outbox.flushRun();
    expect([transport.writes.length, asked]).toEqual([1, ['rest']]);
    outbox.flushRun();
    expect(asked).toHaveLength(1);
  });

  it('ends its own connection when its transport throws', () => {
    const { outbox, transport, aborted } = outboxOf();
    const cause = new Error('a bug');
    transport.write = () => {
      throw cause;
    };
    void outbox.shared(TextMessage, bytesOf('all'), 0, 3);
    outbox.flushRun();
    expect(aborted).toEqual([expect.any(TransportError)]);
    expect(aborted[0]).toMatchObject({ cause, message: 'websocket: a frame could not be written' });
  });
});

describe('control frames', () => {
  it('pass all that waits for a blocked transport, the newest pong of each kind', () => {
    const { outbox, transport, owner, sent, block } = outboxOf();
    block();
    void outbox.text(TextMessage, 'waits');
    const payload = bytesOf('1');
    for (const own of [true, false]) {
      for (const digit of '123') {
        payload[0] = digit.charCodeAt(0);
        expect(outbox.control(PongMessage, payload, 0, 1, own)).toBe(done);
      }
    }
    void outbox.control(PingMessage, bytesOf('-ping-'), 1, 5);
    payload[0] = 0x78;
    expect(owner).toMatchObject({ framesOut: 2, pingsOut: 0, bytesOut: 9 });
    transport.drain();
    expect(sent()).toEqual(['binary', 'pong 3', 'pong 3', 'ping ping', 'text waits']);
    expect(owner).toMatchObject({ framesOut: 5, pingsOut: 1, bytesOut: transport.sent.length });
    expect(outbox.atRest).toBe(true);
  });

  it('pass between the parts of what waits, but not into a frame', () => {
    const { outbox, transport, sent, block } = outboxOf({}, { mark: 0 });
    block();
    void outbox.message(BinaryMessage, new Uint8Array(70_000), 0, 70_000);
    transport.drain();
    transport.block();
    void outbox.message(BinaryMessage, new Uint8Array(70_000), 0, 70_000);
    void outbox.control(PingMessage, bytesOf('p'), 0, 1);
    transport.drain();
    expect(sent()).toEqual(['binary', 'binary <70000>', 'binary <70000>', 'ping p']);
  });

  it('are masked by a client also when they waited', () => {
    const { outbox, transport, sent, block } = outboxOf({}, { role: 'client' });
    block();
    void outbox.control(PingMessage, bytesOf('p'), 0, 1);
    transport.drain();
    expect(sent()).toEqual(['binary', 'ping p']);
  });

  it('keep an outbox at work that holds nothing else', () => {
    const { outbox, transport, block } = outboxOf();
    block();
    void outbox.control(PingMessage, bytesOf('p'), 0, 1);
    expect([outbox.unsent, outbox.pending, outbox.atRest]).toEqual([false, false, false]);
    transport.drain();
    expect(outbox.atRest).toBe(true);
  });

  it('wait in a bounded number, pongs apart', async () => {
    const { outbox, block } = outboxOf({ maxPendingPings: 2 });
    block();
    for (let i = 0; i < 3; i++) expect(outbox.control(PingMessage, bytesOf('p'), 0, 1)).toBe(done);
    const refused = outbox.control(PingMessage, bytesOf('p'), 0, 1);
    await expect(refused).rejects.toBeInstanceOf(BackpressureError);
    await expect(refused).rejects.toThrow('3 pings wait for the peer already');
    expect(outbox.control(PongMessage, bytesOf('p'), 0, 1)).toBe(done);
  });

  it('that find no buffer end the connection when nobody would hear of them', async () => {
    const { outbox, aborted, asked } = outboxOf({}, { pool: noBuffer });
    await expect(outbox.control(PingMessage, bytesOf('p'), 0, 1)).rejects.toThrow('no memory');
    expect([aborted, asked]).toEqual([[], ['rest']]);
    await expect(outbox.control(PongMessage, bytesOf('p'), 0, 1, true)).rejects.toThrow(
      'no memory',
    );
    expect(aborted).toEqual([expect.any(TransportError)]);
    expect(asked).toEqual(['rest']);
  });
});

describe('the close frame', () => {
  it('leaves after all that was accepted, and nothing is accepted after it', async () => {
    const { outbox, owner, asked, sent } = outboxOf();
    void outbox.text(TextMessage, 'before');
    asked.length = 0;
    expect(outbox.close(Uint8Array.of(0x03, 0xe8))).toBe(true);
    expect([asked, outbox.open]).toEqual([['flush'], false]);
    for (const refused of [
      outbox.text(TextMessage, 'after'),
      outbox.message(BinaryMessage, bytesOf('after'), 0, 5),
      outbox.message(BinaryMessage, bytesOf('after'), 0, 5, true),
      outbox.compressed(BinaryMessage, bytesOf('after'), 0, 5, 5),
      outbox.control(PingMessage, bytesOf('after'), 0, 5),
    ])
      await expect(refused).rejects.toBeInstanceOf(CloseSentError);
    outbox.flush();
    expect(sent()).toEqual(['text before', 'close 1000']);
    expect(owner).toMatchObject({ framesOut: 2, messagesOut: 1, pingsOut: 0 });
  });

  it('that finds no buffer ends the connection', () => {
    const { outbox, aborted, asked } = outboxOf({}, { pool: noBuffer });
    expect(outbox.close(Uint8Array.of(0x03, 0xe8))).toBe(false);
    expect([aborted, asked]).toEqual([[outbox.error], []]);
    expect(outbox.error).toBeInstanceOf(TransportError);
  });
});

describe('what waits in all', () => {
  it('may be as much as maxBufferedAmount, counted as UTF-8', async () => {
    const { outbox, block } = outboxOf({ maxBufferedAmount: 100, highWaterMark: 50 });
    block(48);
    expect(outbox.bufferedAmount).toBe(50);
    expect(outbox.refusal(50, undefined, 0)).toBeUndefined();
    expect(outbox.refusal(40, undefined, 10)).toBeUndefined();
    expect(outbox.refusal(50, 'x'.repeat(50), 0)).toBeUndefined();
    expect(outbox.refusal(25, 'é'.repeat(25), 0)).toBeUndefined();
    for (const [size, text, waiting] of [
      [51, undefined, 0],
      [40, undefined, 11],
      [51, 'x'.repeat(51), 0],
      [26, 'é'.repeat(26), 0],
    ] as const)
      await expect(outbox.refusal(size, text, waiting)).rejects.toBeInstanceOf(BackpressureError);
    await expect(outbox.refusal(51, undefined, 0)).rejects.toThrow(
      '50 bytes wait already and 51 more would pass maxBufferedAmount (100); await your writes',
    );
    await expect(outbox.text(TextMessage, 'x'.repeat(51))).rejects.toThrow(BackpressureError);
    await expect(outbox.message(TextMessage, new Uint8Array(51), 0, 51)).rejects.toThrow(
      BackpressureError,
    );
    expect(await stateOf(outbox.message(TextMessage, new Uint8Array(51), 0, 51, true))).toBe(
      'pending',
    );
  });

  it.each([
    { says: 'nothing waits', highWaterMark: 50, blocks: false, accepted: true },
    { says: 'less than the mark waits', highWaterMark: 51, blocks: true, accepted: true },
    { says: 'the mark is reached', highWaterMark: 50, blocks: true, accepted: false },
    { says: 'the mark is the limit', highWaterMark: 100, blocks: true, accepted: true },
    { says: 'the mark is above it', highWaterMark: 101, blocks: true, accepted: false },
  ])('takes a message of any size while $says: $accepted', (row) => {
    const { highWaterMark, blocks, accepted } = row;
    const { outbox, block } = outboxOf({ maxBufferedAmount: 100, highWaterMark });
    if (blocks) block(48);
    expect(outbox.refusal(1_000, undefined, 0) === undefined).toBe(accepted);
  });

  it('is handed over before anything is refused for it', () => {
    const { outbox, transport } = outboxOf({ maxBufferedAmount: 100, highWaterMark: 10 });
    void outbox.text(TextMessage, 'x'.repeat(60));
    expect(outbox.refusal(38, undefined, 0)).toBeUndefined();
    expect(transport.writes).toEqual([]);
    expect(outbox.refusal(39, undefined, 0)).toBeUndefined();
    expect(transport.writes).toHaveLength(1);
  });
});

describe('a blocked transport', () => {
  it('makes writers wait from the mark on, until it is below it', async () => {
    const { outbox, transport, host } = outboxOf({ highWaterMark: 100 }, { mark: 9 });
    transport.block();
    void outbox.text(TextMessage, 'x'.repeat(10));
    outbox.flush();
    expect(outbox.bufferedAmount).toBe(12);
    expect(outbox.pending).toBe(false);
    expect(outbox.text(TextMessage, 'x'.repeat(85))).toBe(done);
    expect(outbox.bufferedAmount).toBe(99);
    const waiting = outbox.text(TextMessage, '');
    expect([outbox.unsent, outbox.pending]).toEqual([true, false]);
    expect([await stateOf(waiting), outbox.atRest]).toEqual(['pending', false]);
    transport.drain();
    await host.settle();
    expect([await stateOf(waiting), outbox.atRest]).toEqual(['resolved', true]);
  });

  it('that takes a part only lets them wait on', async () => {
    const { outbox, transport, host } = outboxOf({ highWaterMark: 100 });
    transport.block();
    void outbox.text(TextMessage, '');
    outbox.flush();
    const waiting = outbox.text(TextMessage, 'x'.repeat(98));
    transport.drain();
    transport.block();
    await host.settle();
    expect(await stateOf(waiting)).toBe('resolved');
    void outbox.text(TextMessage, '');
    outbox.flush();
    const again = outbox.text(TextMessage, 'x'.repeat(120));
    transport.takesOne = true;
    transport.drain();
    await host.settle();
    expect(await stateOf(again)).toBe('pending');
    transport.drain();
    await host.settle();
    expect(await stateOf(again)).toBe('resolved');
  });

  it('is asked for no flush', () => {
    const { outbox, asked, block } = outboxOf();
    block();
    asked.length = 0;
    void outbox.text(TextMessage, 'x');
    expect(asked).toEqual([]);
  });

  it('is ended after all that was accepted, once', () => {
    const { outbox, transport, sent, block } = outboxOf();
    block();
    let ends = 0;
    transport.end = () => void ends++;
    void outbox.text(TextMessage, 'waits');
    outbox.end();
    expect(ends).toBe(0);
    transport.drain();
    expect([ends, sent()]).toEqual([1, ['binary', 'text waits']]);
    outbox.end();
    outbox.flush();
    expect(ends).toBe(1);
  });

  it('whose outbox is cut gets nothing more of what waited', async () => {
    const { outbox, transport, sent, host, block } = outboxOf({ highWaterMark: 10 });
    block();
    const waiting = outbox.text(TextMessage, 'x'.repeat(20));
    const referenced = outbox.message(BinaryMessage, new Uint8Array(70_000), 0, 70_000);
    void outbox.control(PingMessage, bytesOf('p'), 0, 1);
    const error = new TimeoutError('too slow');
    outbox.cut(error);
    await expect(waiting).rejects.toBe(error);
    await expect(referenced).rejects.toBe(error);
    expect(outbox.unsent).toBe(false);
    transport.drain();
    await host.settle();
    expect(sent()).toEqual(['binary']);
  });

  it('whose outbox is destroyed forgets all, and writes nothing', async () => {
    const { outbox, transport, sent, host, block } = outboxOf({ highWaterMark: 10 });
    block();
    const waiting = outbox.text(TextMessage, 'x'.repeat(20));
    void outbox.control(PingMessage, bytesOf('p'), 0, 1);
    const error = new TransportError('gone');
    outbox.destroy(error);
    outbox.destroy(new TransportError('again'));
    await expect(waiting).rejects.toBe(error);
    expect([outbox.error, outbox.unsent]).toEqual([error, false]);
    outbox.flush();
    await host.settle();
    expect([sent(), transport.writes.length]).toEqual([['binary'], 1]);
  });
});

describe('a write deadline that has struck', () => {
  const error = new TimeoutError('the write deadline is past');

  it('ends the connection at the next write, and lets control frames pass until then', async () => {
    const { outbox, aborted, sent } = outboxOf();
    outbox.expire(error, 0);
    expect([aborted, outbox.open]).toEqual([[], true]);
    expect(outbox.control(PingMessage, bytesOf('p'), 0, 1)).toBe(done);
    await expect(outbox.text(TextMessage, 'late')).rejects.toBe(error);
    expect(aborted).toEqual([error]);
    outbox.flush();
    expect(sent()).toEqual(['ping p']);
  });

  it.each([
    { says: 'something waits here', bytes: 1, waiting: 0 },
    { says: 'something waits behind a writer', bytes: 0, waiting: 1 },
  ])('ends it at once when $says', ({ bytes, waiting }) => {
    const { outbox, aborted } = outboxOf();
    if (bytes > 0) void outbox.text(TextMessage, 'x');
    outbox.expire(error, waiting);
    expect(aborted).toEqual([error]);
  });

  it('can be moved, and then nothing has happened', async () => {
    const { outbox, aborted } = outboxOf();
    outbox.expire(error, 0);
    outbox.expire(undefined, 1);
    expect(outbox.text(TextMessage, 'x')).toBe(done);
    expect(aborted).toEqual([]);
  });

  it('says nothing after the close frame, or once the transport is gone', async () => {
    const closed = outboxOf();
    closed.outbox.close(new Uint8Array(0));
    closed.outbox.expire(error, 0);
    expect([closed.aborted, closed.outbox.open]).toEqual([[], false]);
    const gone = outboxOf();
    gone.outbox.expire(error, 0);
    gone.outbox.destroy(new TransportError('gone'));
    gone.outbox.expire(undefined, 0);
    expect([gone.outbox.error, gone.outbox.open]).toEqual([error, false]);
    await expect(gone.outbox.text(TextMessage, 'x')).rejects.toBe(error);
    expect(gone.aborted).toEqual([]);
  });
});

describe('a message that is written as a stream', () => {
  it('counts once, with its last fragment', () => {
    const { outbox, owner, sent, watched } = outboxOf();
    expect(outbox.fragment(TextMessage, false, bytesOf('-ab-'), 1, 3)).toBe(done);
    void outbox.fragment(0, true, bytesOf('-ab-'), 3, 4);
    outbox.complete(TextMessage, 3);
    outbox.flush();
    expect(sent()).toEqual(['text... ab', 'cont -']);
    expect(owner).toMatchObject({ framesOut: 2, messagesOut: 1, bytesOut: 7 });
    expect(watched).toEqual(['1 of 3']);
  });

  it('is copied, also when its fragments are large', () => {
    const { outbox, transport } = outboxOf();
    const bytes = new Uint8Array(70_002).fill(1);
    void outbox.fragment(BinaryMessage, true, bytes, 1, 70_001);
    bytes.fill(2);
    outbox.flush();
    const [frame] = naiveDecode(transport.sent, 'client').frames;
    expect([frame!.payload.length, ...new Set(frame!.payload)]).toEqual([70_000, 1]);
  });
});

describe('an outbox that is at rest', () => {
  it('has no writer that waits for the next turn', () => {
    const { outbox, host } = outboxOf();
    for (let i = 0; i < 1_000; i++) void outbox.text(TextMessage, 'x');
    outbox.flush();
    expect([outbox.unsent, outbox.atRest]).toEqual([false, false]);
    host.runYielded();
    expect(outbox.atRest).toBe(true);
  });

  it('has not sent the close frame', () => {
    const { outbox } = outboxOf();
    outbox.close(new Uint8Array(0));
    outbox.flush();
    expect([outbox.unsent, outbox.atRest]).toEqual([false, false]);
  });
});

describe('an outbox that nobody watches', () => {
  it.each([
    ['no watch', undefined],
    ['one that asks for other things', {}],
  ])('sends all the same, with %s', (_, watch) => {
    const { outbox, host, owner, transport } = outboxOf();
    Object.assign(host, { watch });
    void outbox.text(TextMessage, 'a');
    void outbox.message(BinaryMessage, bytesOf('b'), 0, 1);
    void outbox.compressed(BinaryMessage, bytesOf('c'), 0, 1, 1);
    void outbox.fragment(TextMessage, true, bytesOf('d'), 0, 1);
    outbox.complete(TextMessage, 1);
    outbox.flush();
    void outbox.shared(TextMessage, bytesOf('e'), 0, 1);
    outbox.flush();
    expect([owner.messagesOut, transport.sent.length]).toEqual([5, 15]);
  });
});

describe('a message that others send too', () => {
  it('is masked by a client', () => {
    const { outbox, sent } = outboxOf({}, { role: 'client' });
    void outbox.shared(TextMessage, bytesOf('all'), 0, 3);
    outbox.flush();
    expect(sent()).toEqual(['text all']);
  });

  it.each([0, 0x40])(
    'waits behind a blocked transport like any other, whatever waits: %d',
    (rsv) => {
      const { outbox, transport, block } = outboxOf({ maxBufferedAmount: 10, highWaterMark: 20 });
      block(9);
      transport.writes.length = 0;
      void outbox.shared(TextMessage, bytesOf('all'), rsv, 3);
      void outbox.control(PingMessage, bytesOf('p'), 0, 1);
      expect(transport.writes).toEqual([]);
      expect(outbox.bufferedAmount).toBe(16);
      transport.drain();
      expect([...transport.sent]).toEqual([0x89, 1, 0x70, 0x81 | rsv, 3, 0x61, 0x6c, 0x6c]);
    },
  );

  it('is referred to when it is large, and copied for all when it is not', async () => {
    const { outbox, transport, host } = outboxOf({}, { mark: 200_000 });
    transport.block();
    const large = outbox.shared(BinaryMessage, new Uint8Array(65_537), 0, 65_537);
    const copied = outbox.shared(BinaryMessage, new Uint8Array(65_536), 0, 65_536);
    outbox.flush();
    await host.settle();
    expect([await stateOf(large), await stateOf(copied)]).toEqual(['pending', 'resolved']);
    transport.drain();
    await host.settle();
    expect(await stateOf(large)).toBe('resolved');
    expect(outbox.shared(BinaryMessage, new Uint8Array(65_536), 0, 65_536)).toBe(done);
  });

  it('counts as what it is when it is not compressed', () => {
    const { outbox } = outboxOf();
    expect(outbox.shared(TextMessage, bytesOf('x'), 0, 200_000)).toBe(done);
  });

  it('leaves at the end of the turn', () => {
    const { outbox, transport, host, asked } = outboxOf();
    void outbox.shared(TextMessage, bytesOf('all'), 0, 3);
    void outbox.shared(TextMessage, bytesOf('too'), 0, 3);
    expect(transport.writes).toEqual([]);
    host.runDeferred();
    expect([transport.writes.length, transport.sent.length, asked]).toEqual([1, 10, ['rest']]);
  });

  it('is the connection’s own copy where the transport still holds what came before', () => {
    const quick = outboxOf({}, { mark: 1_000 });
    void quick.outbox.shared(TextMessage, bytesOf('all'), 0, 3);
    quick.outbox.flush();
    const slow = outboxOf({}, { mark: 1_000 });
    slow.transport.block();
    void slow.outbox.text(TextMessage, 'before');
    slow.outbox.flush();
    void slow.outbox.shared(TextMessage, bytesOf('all'), 0, 3);
    slow.outbox.flush();
    expect(quick.transport.chunks[0]!.buffer.byteLength).toBeGreaterThan(5);
    expect(slow.transport.chunks[1]!.buffer.byteLength).toBe(5);
    expect([...slow.transport.writes[1]!]).toEqual([...quick.transport.writes[0]!]);
  });

  it('stays whole when what follows it finds no buffer', () => {
    const { outbox, sent } = outboxOf({}, { pool: noBuffer });
    for (const text of ['one', 'two']) void outbox.shared(TextMessage, bytesOf(text), 0, 3);
    expect(() => outbox.text(TextMessage, 'mine')).toThrow('no memory');
    outbox.flush();
    expect(sent()).toEqual(['text one', 'text two']);
  });
});

describe('while the transport is blocked', () => {
  it('a pong takes the place of no ping', () => {
    const { outbox, transport, sent, block } = outboxOf();
    block();
    void outbox.control(PingMessage, bytesOf('p'), 0, 1);
    for (const payload of ['1', '2'])
      void outbox.control(PongMessage, bytesOf(payload), 0, 1, true);
    transport.drain();
    expect(sent()).toEqual(['binary', 'ping p', 'pong 2']);
  });

  it.each(['server', 'client'] as const)('a fragment of a %s is kept as it was', (role) => {
    const { outbox, transport, block } = outboxOf({}, { role, mark: 0 });
    block();
    const bytes = new Uint8Array(70_002).fill(1);
    void outbox.fragment(BinaryMessage, true, bytes, 1, 70_001);
    bytes.fill(2);
    transport.drain();
    const { frames } = naiveDecode(transport.sent, role === 'server' ? 'client' : 'server');
    expect([frames[1]!.payload.length, ...new Set(frames[1]!.payload)]).toEqual([70_000, 1]);
  });
});

describe('an outbox that accepts nothing any more', () => {
  it('says why, as it was told first', async () => {
    const { outbox } = outboxOf();
    expect(outbox.refused()).toBeUndefined();
    const error = new TransportError('gone');
    outbox.refuse(error);
    outbox.refuse(new TransportError('again'));
    await expect(outbox.text(TextMessage, 'x')).rejects.toBe(error);
    await expect(outbox.refused()).rejects.toBe(error);
    await expect(outbox.refusal(1, undefined, 0)).rejects.toBe(error);
  });

  it('ends no transport that is gone', () => {
    const { outbox, transport } = outboxOf();
    outbox.destroy(new TransportError('gone'));
    outbox.end();
    outbox.flush();
    expect(transport.ended).toBe(false);
  });
});

describe('bytes that wait behind an open writer', () => {
  it('count against maxBufferedAmount', async () => {
    const { outbox } = outboxOf({ maxBufferedAmount: 100, highWaterMark: 50 });
    expect(outbox.refusal(40, undefined, 60)).toBeUndefined();
    await expect(outbox.refusal(40, undefined, 61)).rejects.toBeInstanceOf(BackpressureError);
  });

  it('leave a message of any size its way when there are none, whatever the mark', () => {
    const { outbox } = outboxOf({ maxBufferedAmount: 100, highWaterMark: 101 });
    expect(outbox.refusal(1_000, undefined, 0)).toBeUndefined();
  });
});

describe('a transport that takes one piece at a time', () => {
  it('gets a large frame whole, before what came meanwhile', () => {
    const { outbox, transport, sent } = outboxOf({}, { role: 'client' });
    transport.takesOne = true;
    void outbox.message(BinaryMessage, new Uint8Array(200_000), 0, 200_000);
    expect(transport.writes).toHaveLength(1);
    const ping = outbox.control(PingMessage, bytesOf('p'), 0, 1);
    expect([outbox.unsent, ping]).toEqual([true, done]);
    while (transport.bufferedAmount > 0) transport.drain();
    expect(transport.writes.length).toBeGreaterThan(3);
    expect(sent()).toEqual(['binary <200000>', 'ping p']);
    expect(outbox.atRest).toBe(true);
  });

  it('needs no cork', () => {
    const { outbox, transport, sent } = outboxOf();
    Object.assign(transport, { cork: undefined, uncork: undefined });
    void outbox.text(TextMessage, 'before');
    void outbox.message(BinaryMessage, new Uint8Array(65_537), 0, 65_537);
    expect(sent()).toEqual(['text before', 'binary <65537>']);
  });

  it('is ended after the control frames that wait for it', () => {
    const { outbox, transport, sent, block } = outboxOf();
    block();
    void outbox.control(PingMessage, bytesOf('p'), 0, 1);
    outbox.end();
    expect(transport.ended).toBe(false);
    transport.drain();
    expect([transport.ended, sent()]).toEqual([true, ['binary', 'ping p']]);
  });
});

describe('the bounds of a write', () => {
  it('let one that reaches the mark of a blocked transport wait', async () => {
    const { outbox, block } = outboxOf({ highWaterMark: 100 });
    block();
    expect(await stateOf(outbox.text(TextMessage, 'x'.repeat(96)))).toBe('pending');
  });

  it('let one that makes it 1 MiB in a turn wait', () => {
    const { outbox } = outboxOf();
    const payload = new Uint8Array(65_532);
    for (let i = 0; i < 15; i++)
      expect(outbox.message(BinaryMessage, payload, 0, payload.length)).toBe(done);
    expect(outbox.message(BinaryMessage, payload, 0, payload.length)).not.toBe(done);
  });

  it('take one that waits for nothing at all to come up to the limit', () => {
    const { outbox, block } = outboxOf({ maxBufferedAmount: 100, highWaterMark: 20 });
    block(28);
    expect(outbox.refusal(70, undefined, 0)).toBeUndefined();
    expect(outbox.refusal(23, 'é'.repeat(23), 0)).toBeUndefined();
  });
});
