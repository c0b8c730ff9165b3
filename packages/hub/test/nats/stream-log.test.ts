import { Deferred } from '@ws/conn/internal';
import { describe, expect, it } from 'vitest';
import type { JetStreamClient, StreamInfo } from '../../src/nats/client.ts';
import { StreamLog } from '../../src/nats/stream-log.ts';

const keep = { size: 1, ttl: 1_000 };
const INFO = {
  created: 'now',
  config: { description: '1', republish: { dest: 'live.>' }, max_msgs_per_subject: -1, max_age: 0 },
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

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
