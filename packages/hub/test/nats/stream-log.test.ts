import { describe, expect, it } from 'vitest';
import type { JetStreamClient, StreamInfo } from '../../src/nats/client.ts';
import { StreamLog } from '../../src/nats/stream-log.ts';

interface Stream {
  /** Sequences of the room. */
  readonly room: readonly number[];
  /** Number of messages that a fetch returns. Default: all. */
  readonly fetched?: number;
  /** A fetch that returns fewer messages than it asks for never ends. */
  readonly waits?: boolean;
  /** The server's answers to questions about the stream, in order. The last one repeats. */
  readonly created?: readonly string[];
  /** Number of messages in the stream. */
  readonly stored?: number;
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/**
 * The history of a room in a stream whose server gives these answers, after the position `since`. The
 * limit is 12 messages.
 */
async function history(stream: Stream, since?: number) {
  const { room, fetched = Infinity, created = ['first'], stored = 8, waits = false } = stream;
  let asked = 0;
  const requests: string[] = [];
  const info = (): StreamInfo =>
    ({
      created: created[Math.min(asked++, created.length - 1)]!,
      config: {
        description: 'd',
        max_msgs_per_subject: 0,
        max_age: 0,
        republish: { src: 'stored.>', dest: 'live.>' },
      },
      state: { messages: stored, first_seq: 1, last_seq: 99 },
    }) as unknown as StreamInfo;
  let pending: number[] = [];
  const manager = {
    streams: {
      async info() {
        requests.push('info');
        return info();
      },
      async getMessage(_: string, { seq: from }: { seq: number }) {
        requests.push('message');
        const seq = room.find((each) => each >= from);
        return seq === undefined ? null : { seq, data: Uint8Array.of(seq) };
      },
    },
    consumers: {
      async add(_: string, { opt_start_seq: from }: { opt_start_seq: number }) {
        requests.push('consumer');
        pending = room.filter((seq) => seq >= from);
        return { name: 'c', num_pending: pending.length };
      },
      delete: () => Promise.resolve(true),
    },
  };
  async function* messages(count: number) {
    const sent = pending.slice(0, Math.min(fetched, count));
    for (const [i, seq] of sent.entries()) {
      yield await Promise.resolve({
        seq,
        data: Uint8Array.of(seq),
        info: { pending: sent.length - 1 - i },
      });
    }
    if (waits && sent.length < count) await new Promise(() => {});
  }
  const fetch = async ({ max_messages: count }: { max_messages: number }) => messages(count);
  const client = {
    jetstreamManager: () => Promise.resolve(manager),
    consumers: { get: () => Promise.resolve({ fetch }) },
  } as unknown as JetStreamClient;
  const log = new StreamLog(client, 'stream', 'stored', 'live');
  await log.open();
  requests.length = 0;
  const position = since === undefined ? undefined : { epoch: 'first d', offset: since };
  const { messages: found, ...rest } = await log.history('r', position, 12);
  return { offsets: found.map(({ offset }) => offset), ...rest, requests };
}

describe('StreamLog.history', () => {
  it.each([
    ['no message', [5]],
    ['few messages', [5, 7, 9]],
    ['many messages', range(5, 17)],
  ])('is complete after a position with %s', async (_, room) => {
    const { offsets, complete } = await history({ room }, 5);
    expect(offsets).toEqual(room.slice(1));
    expect(complete).toBe(true);
  });

  it('asks for few messages one by one, without a consumer', async () => {
    const { requests } = await history({ room: [5, 7] }, 5);
    expect(requests).toEqual(['message', 'message', 'info', 'message']);
  });

  it.each<[string, Stream, number[]]>([
    ['a fetch ends early', { room: range(5, 16), fetched: 1 }, range(6, 14)],
    ['a fetch finds nothing', { room: range(5, 16), fetched: 0 }, range(6, 13)],
    ['the server has more than the limit', { room: range(5, 18) }, range(6, 17)],
    ['the server has more than the limit of messages', { room: range(5, 30) }, range(6, 17)],
    ['the stream is created again meanwhile', { room: [5, 7], created: ['first', 'second'] }, [7]],
  ])('is incomplete after a position, but has its messages, when %s', async (_, stream, found) => {
    const { offsets, complete } = await history(stream, 5);
    expect(offsets).toEqual(found);
    expect(complete).toBe(false);
  });

  it('does not wait for messages that were dropped after the consumer was created', async () => {
    const { offsets, more } = await history({ room: range(5, 16), fetched: 2, waits: true }, 5);
    expect([offsets, more]).toEqual([range(6, 15), true]);
  });

  it('follows the position when the server has more than the limit', async () => {
    const { follows } = await history({ room: range(5, 30) }, 5);
    expect(follows).toBe(true);
  });

  it.each([[[7]], [range(7, 30)]])(
    'does not follow the position when the stream has dropped its message',
    async (room) => {
      const { follows, complete } = await history({ room }, 5);
      expect([follows, complete]).toEqual([false, false]);
    },
  );

  it('is incomplete without a position when the stream has dropped messages', async () => {
    expect((await history({ room: [9] })).complete).toBe(false);
    expect((await history({ room: [9], stored: 99 })).complete).toBe(true);
  });

  it('has all messages after a position of another stream, and is incomplete', async () => {
    const { offsets, complete } = await history({ room: [5, 7], created: ['new'] }, 5);
    expect(offsets).toEqual([5, 7]);
    expect(complete).toBe(false);
  });
});

describe('StreamLog', () => {
  it('shares the state of the stream between reads at a time', async () => {
    const asked: ((info: StreamInfo) => void)[] = [];
    const config = { republish: { dest: 'live.>' }, max_msgs_per_subject: 0, max_age: 0 };
    const state = { messages: 1, first_seq: 1, last_seq: 1 };
    const info = { created: 'c', config, state } as unknown as StreamInfo;
    const manager = {
      streams: {
        info: () => new Promise<StreamInfo>((resolve) => void asked.push(resolve)),
        getMessage: () => Promise.resolve(null),
      },
    };
    const client = { jetstreamManager: () => Promise.resolve(manager) };
    const log = new StreamLog(client as unknown as JetStreamClient, 'stream', 'stored', 'live');
    const opened = log.open();
    await new Promise(setImmediate);
    asked.shift()!(info);
    await opened;
    const since = { epoch: 'c undefined', offset: 1 };
    const reads = Array.from({ length: 10 }, () => log.history('r', since, 3));
    await new Promise(setImmediate);
    // These begin after the first request, whose answer may be older.
    const later = Array.from({ length: 10 }, () => log.history('r', since, 3));
    await new Promise(setImmediate);
    expect(asked).toHaveLength(1);
    asked.shift()!(info);
    await Promise.all(reads);
    await new Promise(setImmediate);
    expect(asked).toHaveLength(1);
    asked.shift()!(info);
    expect((await Promise.all(later)).every(({ complete }) => complete)).toBe(true);
  });
});
