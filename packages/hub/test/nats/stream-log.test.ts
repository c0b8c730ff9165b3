import { Deferred } from '@ws/conn/internal';
import { describe, expect, it } from 'vitest';
import type { JetStreamClient, StreamConfig, StreamInfo } from '../../src/nats/client.ts';
import { StreamLog } from '../../src/nats/stream-log.ts';

const keep = { size: 1, ttl: 1_000 };
const INFO = {
  config: {
    description: '@ws/hub, epoch e, numbering 1 after 0',
    republish: { dest: 'live.>' },
    max_msgs_per_subject: -1,
    max_age: 0,
  },
  state: { messages: 0, first_seq: 1, last_seq: 0 },
} as unknown as StreamInfo;

/** A log that waits for the test with each request for the stream, and its stored messages. */
function logOf() {
  const infos: Deferred<StreamInfo>[] = [];
  const stored: string[] = [];
  const info = (): Promise<StreamInfo> => {
    infos.push(new Deferred());
    return infos.at(-1)!.promise;
  };
  const client = {
    jetstreamManager: async () => ({ streams: { info } }),
    async publish(_subject: string, bytes: Uint8Array) {
      return { seq: stored.push(String(bytes)) };
    },
  } as unknown as JetStreamClient;
  const log = new StreamLog(client, 'stream', 'log', 'live');
  const publish = async (number: number): Promise<void> => {
    await log.update(keep);
    await log.publish('r', Uint8Array.of(number));
  };
  return { log, infos, stored, publish };
}

describe('StreamLog', () => {
  it('stores messages in the order of the calls while reads get their answers in another order', async () => {
    const { log, infos, stored, publish } = logOf();
    const [read, one] = [log.open('log.r'), publish(1)];
    await turn();
    const [next, two] = [log.open('log.r'), publish(2)];
    await turn();
    for (const each of infos.toReversed()) {
      each.resolve(INFO);
      await turn();
    }
    await Promise.all([read, next, one, two]);
    expect(stored).toEqual(['1', '2']);
  });

  it('does not wait for a request of a connection that is lost', async () => {
    const { log, infos, stored, publish } = logOf();
    void publish(1);
    await turn();
    log.lost();
    const two = publish(2);
    await turn();
    infos[1]!.resolve(INFO);
    await two;
    expect(stored).toEqual(['2']);
  });
});

/** A server with one stream, in memory. */
class FakeServer {
  config: StreamConfig | undefined;
  created = 0;
  last = 0;
  /** Number of messages in the stream of the room `r`. The stream has the last ones. */
  kept = 0;
  readonly updates: (string | undefined)[] = [];
  /** Where the consumers begin. */
  readonly starts: number[] = [];
  /** Resolves before the server answers a request. */
  answers: Promise<unknown> = Promise.resolve();
  stored: Promise<unknown> = Promise.resolve();

  log(): StreamLog {
    const streams = {
      info: async () => {
        const answer = this.#info();
        await this.answers;
        return answer ?? Promise.reject(new Error('stream not found'));
      },
      add: async (config: StreamConfig) => {
        await this.answers;
        const isSame = JSON.stringify(this.config) === JSON.stringify(config);
        if (this.config !== undefined && !isSame) throw new Error('stream name already in use');
        this.config = config;
        return this.#info()!;
      },
      update: async (_: string, config: StreamConfig) => {
        this.updates.push(config.description);
        this.config = config;
        return this.#info()!;
      },
      getMessage: async () => null,
    };
    const consumers = {
      add: async (_: string, { opt_start_seq }: { opt_start_seq: number }) => {
        this.starts.push(opt_start_seq);
        return { name: 'c', num_pending: 0 };
      },
      delete: async () => {},
    };
    const client = {
      jetstreamManager: async () => ({ streams, consumers }),
      publish: async () => {
        const seq = ++this.last;
        this.kept++;
        await this.stored;
        return { seq };
      },
    } as unknown as JetStreamClient;
    return new StreamLog(client, 'stream', 'log', 'live');
  }

  /** Another node creates the stream again, with its messages up to `last`. */
  restore(config: StreamConfig | undefined, last = 0): void {
    this.config = config;
    this.created++;
    this.last = this.kept = last;
  }

  #info(): StreamInfo | undefined {
    if (this.config === undefined) return undefined;
    const { last: last_seq, kept: messages } = this;
    const subjects = { 'log.r': messages };
    return {
      created: String(this.created),
      config: this.config,
      state: { messages, first_seq: last_seq - messages + 1, last_seq, subjects },
    };
  }
}

/** A node that has stored this many messages. */
async function nodeOf(server: FakeServer, messages: number) {
  const log = server.log();
  await log.update(keep);
  const positions = [];
  for (let i = 0; i < messages; i++) positions.push(await log.publish('r', Uint8Array.of(i)));
  return { log, positions, epoch: positions[0]!.epoch };
}

describe('B2 the epoch', () => {
  it('is a random id in the description, whatever the server writes as `created`', async () => {
    const server = new FakeServer();
    const { log, epoch } = await nodeOf(server, 3);
    server.created++;
    await log.open();
    expect(await log.publish('r', Uint8Array.of(1))).toEqual({ epoch, offset: 4 });
    expect(server.updates).toEqual([]);
    expect((await nodeOf(server, 1)).epoch).toBe(epoch);
    expect((await nodeOf(new FakeServer(), 1)).epoch).not.toBe(epoch);
  });

  it.each(['@ws/hub, numbering 3', 'my stream', undefined])(
    'is written into a stream with the description %s, and begins after its messages',
    async (description) => {
      const server = new FakeServer();
      await nodeOf(server, 1);
      server.restore({ ...server.config!, description: description! }, 7);
      const { log, epoch } = await nodeOf(server, 1);
      expect(server.updates).toHaveLength(1);
      expect((await nodeOf(server, 1)).epoch).toBe(epoch);
      await log.history('r', { epoch: 'of another stream', offset: 3 }, 10);
      expect(server.starts).toEqual([8]);
    },
  );

  it('begins after the messages that are left when the stream has lost its end', async () => {
    const server = new FakeServer();
    const { log, epoch } = await nodeOf(server, 15);
    const { config } = server;
    server.restore(config, 10);
    const read = await log.history('r', { epoch, offset: 12 }, 10);
    expect(read).toMatchObject({ messages: [], complete: false, follows: false, last: 10 });
    expect(read.epoch).not.toBe(epoch);
    expect(server.starts).toEqual([11]);
    // `START` of a client and a read of the last messages get all that is kept.
    await log.history('r', { epoch: '', offset: 0 }, 10);
    await log.history('r', undefined, 10);
    expect(server.starts).toEqual([11, 1, 1]);
    // The same copy of the stream once more: its numbering is of an earlier epoch.
    server.last = 20;
    await log.open();
    server.restore(config, 10);
    const again = await log.history('r', { epoch, offset: 12 }, 10);
    expect([epoch, read.epoch]).not.toContain(again.epoch);
  });

  it('is not that of a position ahead of the stream', async () => {
    const { log, epoch } = await nodeOf(new FakeServer(), 3);
    expect(await log.history('r', { epoch, offset: 9 }, 10)).toMatchObject({
      complete: false,
      follows: false,
      last: 3,
    });
  });
});

describe('B8 a recreated stream', () => {
  it('has one new epoch, whatever calls run beside', async () => {
    const server = new FakeServer();
    const { log, epoch } = await nodeOf(server, 5);
    server.restore(undefined);
    const infos = await Promise.all([log.open(), log.open(), log.open('log.r')]);
    expect(server.updates).toEqual([]);
    expect(new Set(infos.map(({ config }) => config.description)).size).toBe(1);
    const next = await log.publish('r', Uint8Array.of(1));
    expect(next).toMatchObject({ offset: 1 });
    expect(next!.epoch).not.toBe(epoch);
  });

  it('gives a message no position when its epoch is unknown', async () => {
    const server = new FakeServer();
    const { log } = await nodeOf(server, 5);
    const stored = new Deferred<void>();
    server.stored = stored.promise;
    const late = log.publish('r', Uint8Array.of(1));
    server.restore(undefined);
    await log.open();
    stored.resolve();
    expect(await late).toBeUndefined();
    // Its number, of the old stream, is no loss of the new one.
    await log.open();
    expect(server.updates).toEqual([]);
    // This node has not noticed the next one yet.
    await log.publish('r', Uint8Array.of(1));
    server.restore({ ...server.config!, description: '@ws/hub, epoch x, numbering 1 after 0' });
    expect(await log.publish('r', Uint8Array.of(1))).toBeUndefined();
  });

  it('never goes back to the epoch of an answer that is late', async () => {
    const server = new FakeServer();
    const { log, epoch } = await nodeOf(server, 5);
    const late = new Deferred<void>();
    server.answers = late.promise;
    const opened = log.open();
    await turn();
    server.answers = Promise.resolve();
    server.restore(undefined);
    await log.open();
    late.resolve();
    await opened;
    const next = await log.publish('r', Uint8Array.of(1));
    expect(next!.epoch).not.toBe(epoch);
    await log.open();
    expect(server.updates).toEqual([]);
  });

  it('has none of its messages read with the old epoch', async () => {
    const server = new FakeServer();
    const { log, epoch } = await nodeOf(server, 5);
    server.restore(undefined);
    const read = await log.history('r', { epoch, offset: 2 }, 10);
    expect(read).toMatchObject({ complete: false, follows: false, last: 0 });
    expect(read.epoch).not.toBe(epoch);
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
