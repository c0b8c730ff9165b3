import { PreparedMessage, portablePlatform, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Arrival, Channel } from '../src/channel.ts';

function arrival(text: string, offset: number, previous?: number, epoch = 'e'): Arrival {
  const message = new PreparedMessage(TextMessage, text);
  const envelope = {
    node: 'n',
    counter: Number(text),
    previousMs: 1_000_000,
    exact: false,
    key: undefined,
    message,
  };
  return { envelope, position: { epoch, offset }, previous };
}

/** A channel whose repairs find `kept`. */
function channel(kept: readonly Arrival[], complete = true) {
  const delivered: string[] = [];
  const gaps: unknown[] = [];
  const owner = {
    node: 'own',
    platform: portablePlatform,
    deliver: (_: Channel, { envelope }: Arrival) =>
      void delivered.push(new TextDecoder().decode(envelope.message!.bytes)),
    repair: () => Promise.resolve({ arrivals: kept, complete }),
    gap: (_: Channel, from: unknown) => void gaps.push(from),
  };
  const settings = { history: { size: 10, bytes: 1_000, ttl: 1_000 }, through: false };
  return { channel: new Channel(owner, 'room/r', 'r', settings, 0), delivered, gaps };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('Channel on an engine whose offsets have holes', () => {
  it('delivers messages that follow their previous one', async () => {
    const { channel: r, delivered, gaps } = channel([], false);
    r.arrive(arrival('1', 3, 0));
    r.arrive(arrival('2', 8, 3));
    r.arrive(arrival('3', 9, 8));
    // The engine has no previous message: it has dropped all older ones.
    r.arrive(arrival('4', 20, 0));
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4']);
    expect(gaps).toEqual([]);
  });

  it('repairs a hole', async () => {
    const { channel: r, delivered, gaps } = channel([arrival('2', 5), arrival('3', 8)]);
    r.arrive(arrival('1', 3, 0));
    r.arrive(arrival('3', 8, 5));
    r.arrive(arrival('4', 11, 8));
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4']);
    expect(gaps).toEqual([]);
  });

  it('reports a hole without repair, and continues', async () => {
    const { channel: r, delivered, gaps } = channel([], false);
    r.arrive(arrival('1', 3, 0));
    r.arrive(arrival('3', 8, 5));
    r.arrive(arrival('4', 11, 8));
    await turn();
    expect(delivered).toEqual(['1', '3', '4']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 3 }]);
  });
});

describe('Channel with history', () => {
  it('reports messages that never reached the engine', async () => {
    const { channel: r, delivered, gaps } = channel([]);
    r.arrive(arrival('1', 1));
    r.interrupted();
    await turn();
    r.arrive(arrival('3', 2));
    expect(delivered).toEqual(['1', '3']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 1 }]);
    r.digest(arrival('5', 0).envelope);
    r.digest(arrival('5', 0).envelope);
    await turn();
    r.digest(arrival('5', 0).envelope);
    expect(gaps).toEqual([
      { epoch: 'e', offset: 1 },
      { epoch: 'e', offset: 2 },
    ]);
  });

  it('fetches what a digest announces', async () => {
    const { channel: r, delivered, gaps } = channel([arrival('2', 2)]);
    r.arrive(arrival('1', 1));
    r.digest(arrival('2', 0).envelope);
    await turn();
    expect(delivered).toEqual(['1', '2']);
    expect(gaps).toEqual([]);
  });

  it('skips a message of a newer version, also if offsets have holes', async () => {
    const { channel: r, delivered, gaps } = channel([], false);
    r.arrive(arrival('1', 3, 0));
    r.unreadable({ epoch: 'e', offset: 7 }, 3);
    r.arrive(arrival('2', 9, 7));
    await turn();
    expect(delivered).toEqual(['1', '2']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 7 }]);
  });
});

describe('Channel with a repair that leaves the hole', () => {
  it('reports a gap instead of repairing again', async () => {
    const { channel: r, delivered, gaps } = channel([]);
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    await turn();
    expect(delivered).toEqual(['1', '3']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 1 }]);
  });
});

describe('Channel in a new epoch', () => {
  it('delivers no message twice, if the history repeats messages of the old epoch', async () => {
    const renumbered = [arrival('1', 1, 0, 'f'), arrival('2', 2, 1, 'f')];
    const { channel: r, delivered, gaps } = channel(renumbered, false);
    r.arrive(arrival('1', 3, 0));
    r.interrupted();
    await turn();
    r.arrive(arrival('3', 3, 2, 'f'));
    await turn();
    expect(delivered).toEqual(['1', '3']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 3 }]);
  });
});
