import { describe, expect, it } from 'vitest';
import type { JetStreamClient, StreamInfo } from '../../src/nats/client.ts';
import { StreamLog } from '../../src/nats/stream-log.ts';

interface Stream {
  /** Sequences of the room that a fetch returns. */
  readonly fetched: readonly number[];
  /** Number of messages that the server says it has. */
  readonly pending: number;
  /** The server's answers to questions about the stream, in order. The last one repeats. */
  readonly created?: readonly string[];
  /** Number of messages in the stream. */
  readonly stored?: number;
  /** The first sequence of the room from the position on. Default: the position. */
  readonly found?: number;
}

/** The history of a room in a stream whose server gives these answers. */
function history(stream: Stream, since?: number) {
  const { fetched, pending, created = ['first'], stored = 8, found = since } = stream;
  let asked = 0;
  const info = (): StreamInfo =>
    ({
      created: created[Math.min(asked++, created.length - 1)]!,
      config: {
        description: 'd',
        max_msgs_per_subject: 0,
        max_age: 0,
        republish: { src: 'stored.>', dest: 'live.>' },
      },
      state: { messages: stored, first_seq: 1, last_seq: 9 },
    }) as unknown as StreamInfo;
  const manager = {
    streams: {
      info: () => Promise.resolve(info()),
      getMessage: () => Promise.resolve({ seq: found }),
    },
    consumers: {
      add: () => Promise.resolve({ name: 'c', num_pending: pending }),
      delete: () => Promise.resolve(true),
    },
  };
  async function* messages() {
    for (const seq of fetched) yield await Promise.resolve({ seq, data: Uint8Array.of(seq) });
  }
  const client = {
    jetstreamManager: () => Promise.resolve(manager),
    consumers: { get: () => Promise.resolve({ fetch: () => Promise.resolve(messages()) }) },
  } as unknown as JetStreamClient;
  const log = new StreamLog(client, 'stream', 'stored', 'live');
  const position = since === undefined ? undefined : { epoch: 'first d', offset: since };
  return log.history('r', position, 3);
}

describe('StreamLog.history', () => {
  it('is complete with all messages that the server has', async () => {
    const { messages, complete } = await history({ fetched: [7, 9], pending: 2 }, 5);
    expect(messages.map(({ offset }) => offset)).toEqual([7, 9]);
    expect(complete).toBe(true);
  });

  it.each<[string, Stream]>([
    ['a fetch ends early', { fetched: [7], pending: 2 }],
    ['a fetch finds nothing', { fetched: [], pending: 1 }],
    ['the server has more than the limit', { fetched: [7, 8, 9], pending: 4 }],
    [
      'the stream is created again meanwhile',
      { fetched: [7], pending: 1, created: ['first', 'second'] },
    ],
  ])('is incomplete after a position, but has its messages, when %s', async (_, stream) => {
    const { messages, complete } = await history(stream, 5);
    expect(messages.map(({ offset }) => offset)).toEqual(stream.fetched);
    expect(complete).toBe(false);
  });

  it('follows the position when the server has more than the limit', async () => {
    const { follows } = await history({ fetched: [7, 8, 9], pending: 4 }, 5);
    expect(follows).toBe(true);
  });

  it('does not follow the position when the stream has dropped its message', async () => {
    const { follows } = await history({ fetched: [7, 8, 9], pending: 4, found: 7 }, 5);
    expect(follows).toBe(false);
  });

  it('is incomplete without a position when the stream has dropped messages', async () => {
    const { complete } = await history({ fetched: [9], pending: 1 });
    expect(complete).toBe(false);
    expect((await history({ fetched: [9], pending: 1, stored: 9 })).complete).toBe(true);
  });
});
