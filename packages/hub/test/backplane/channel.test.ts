import { PreparedMessage, portablePlatform, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { Channel } from '../../src/backplane/channel.ts';
import type { Arrival, Envelope } from '../../src/backplane/envelope.ts';
import type { Position } from '../../src/history/position.ts';

interface Found {
  readonly arrivals: readonly Arrival[];
  readonly complete: boolean;
}

type Readable = Arrival & { readonly envelope: Envelope };

function arrival(
  text: string,
  offset: number,
  previous?: number,
  epoch = 'e',
  node = 'n',
): Readable {
  const message = new PreparedMessage(TextMessage, text);
  const envelope = {
    node,
    counter: Number(text),
    previousMs: 1_000_000,
    exact: false,
    key: undefined,
    message,
  };
  return { envelope, position: { epoch, offset }, previous };
}

/** A channel whose repairs find `kept`. */
function channel(kept: readonly Arrival[], complete = true, platform = portablePlatform) {
  return reading(() => Promise.resolve({ arrivals: [...kept], complete }), platform);
}

/** A channel whose repairs read the history by `read`. */
function reading(read: (since: Position) => Promise<Found>, platform = portablePlatform) {
  const delivered: string[] = [];
  const gaps: unknown[] = [];
  const owner = {
    node: 'own',
    platform,
    deliver: (_: Channel, { message }: Envelope) =>
      void delivered.push(new TextDecoder().decode(message!.bytes)),
    repair: (_: Channel, since: Position) => read(since),
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
    const { channel: r, delivered, gaps } = channel([arrival('2', 5, 3), arrival('3', 8, 5)]);
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
  it('reports a failed repair once when later messages arrive during it', async () => {
    const { channel: r, delivered, gaps } = channel([], false);
    r.arrive(arrival('1', 1));
    r.digest(arrival('3', 0).envelope);
    r.arrive(arrival('4', 2, 1));
    r.arrive(arrival('5', 3, 2));
    await turn();
    r.arrive(arrival('6', 4, 3));
    r.digest(arrival('6', 0).envelope);
    await turn();
    expect(delivered).toEqual(['1', '4', '5', '6']);
    expect(gaps).toHaveLength(1);
  });

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

  it('reports the messages that an outage cost several nodes as one gap', async () => {
    const { channel: r, delivered, gaps } = channel([]);
    const of = (node: string, text: string, offset: number, previousMs: number): Arrival => {
      const { envelope, position } = arrival(text, offset);
      return { envelope: { ...envelope, node, previousMs, exact: true }, position };
    };
    r.arrive(of('a', '1', 1, 500));
    r.arrive(of('b', '1', 2, 500));
    r.interrupted();
    await turn();
    // Message 2 of each node was published before the outage.
    r.arrive(of('a', '3', 3, 500));
    r.arrive(of('b', '3', 4, 500));
    expect(gaps).toEqual([{ epoch: 'e', offset: 2 }]);
    // Message 4 of node b was published after the gap.
    r.arrive(of('b', '5', 5, 0));
    expect(gaps).toHaveLength(2);
    expect(delivered).toEqual(['1', '1', '3', '3', '5']);
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
    r.arrive({ envelope: undefined, position: { epoch: 'e', offset: 7 }, previous: 3 });
    r.arrive({ envelope: undefined, position: { epoch: 'e', offset: 7 }, previous: 3 });
    r.arrive({ envelope: undefined, position: { epoch: 'e', offset: 3 }, previous: 0 });
    r.arrive(arrival('2', 9, 7));
    await turn();
    expect(delivered).toEqual(['1', '2']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 3 }]);
  });
});

describe('Channel of a new subscription', () => {
  /** A message of the node that published the one before it `previousMs` ago. */
  function message(text: string, previousMs: number): Arrival {
    const { envelope } = arrival(text, 1);
    return { envelope: { ...envelope, previousMs }, position: undefined };
  }

  it('reports a gap before a late message, and another one for a later hole', () => {
    let now = 1_000;
    const clock = { ...portablePlatform, now: () => now };
    const { channel: r, delivered, gaps } = channel([], true, clock);
    // Message 10 came before the subscription, but message 11 was delayed by 2 s.
    now += 1_500;
    r.arrive(message('11', 160));
    expect(gaps).toHaveLength(1);
    r.arrive(message('12', 160));
    expect(gaps).toHaveLength(1);
    r.arrive(message('15', 160));
    expect(gaps).toHaveLength(2);
    expect(delivered).toEqual(['11', '12', '15']);
  });

  it('reports no gap before a message that is less than a second late', () => {
    let now = 1_000;
    const { channel: r, gaps } = channel([], true, { ...portablePlatform, now: () => now });
    now += 1_100;
    r.arrive(message('11', 160));
    expect(gaps).toEqual([]);
  });
});

describe('Channel after an outage', () => {
  /** A message of the node that published the one before it `previousMs` before it. */
  function message(text: string, previousMs: number): Arrival {
    const { envelope } = arrival(text, 1);
    return { envelope: { ...envelope, previousMs }, position: undefined };
  }

  it('reports no second gap before a late message that follows its previous one', () => {
    let now = 1_000;
    const {
      channel: r,
      delivered,
      gaps,
    } = channel([], true, { ...portablePlatform, now: () => now });
    r.arrive(message('1', 160));
    r.interrupted();
    expect(gaps).toHaveLength(1);
    // The network of the other node was silent.
    now += 9_600;
    r.arrive(message('2', 160));
    r.arrive(message('3', 160));
    expect(gaps).toHaveLength(1);
    expect(delivered).toEqual(['1', '2', '3']);
  });

  it('reports a second gap before a late message that does not', () => {
    let now = 1_000;
    const {
      channel: r,
      delivered,
      gaps,
    } = channel([], true, { ...portablePlatform, now: () => now });
    r.arrive(message('1', 160));
    r.interrupted();
    now += 9_600;
    r.arrive(message('3', 160));
    expect(gaps).toHaveLength(2);
    expect(delivered).toEqual(['1', '3']);
  });

  it('drops a message that arrives again', () => {
    const { channel: r, delivered, gaps } = channel([]);
    r.arrive(message('2', 160));
    r.interrupted();
    r.arrive(message('2', 160));
    r.arrive(message('1', 160));
    expect(delivered).toEqual(['2']);
    expect(gaps).toHaveLength(1);
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

describe('Channel with a repair that finds only a part of the missing messages', () => {
  it('delivers the late messages among the held ones, without a gap', async () => {
    const { channel: r, delivered, gaps } = channel([arrival('5', 9), arrival('6', 12, 9)], false);
    r.arrive(arrival('1', 2, 0));
    r.arrive(arrival('3', 6, 4));
    r.arrive(arrival('4', 8, 6));
    r.arrive(arrival('2', 4, 2));
    r.arrive(arrival('5', 9, 8));
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(gaps).toEqual([]);
  });

  it('reports a gap where messages are missing, and delivers all others', async () => {
    const { channel: r, delivered, gaps } = channel([arrival('7', 9), arrival('8', 10, 9)], false);
    r.arrive(arrival('1', 2, 0));
    r.arrive(arrival('2', 3, 2));
    r.arrive(arrival('4', 5, 4));
    r.arrive(arrival('6', 8, 7));
    await turn();
    expect(delivered).toEqual(['1', '2', '4', '6', '7', '8']);
    expect(gaps).toEqual([
      { epoch: 'e', offset: 3 },
      { epoch: 'e', offset: 5 },
    ]);
  });

  it('reports a gap after an outage, since later messages may be missing', async () => {
    const { channel: r, delivered, gaps } = channel([], false);
    r.arrive(arrival('1', 2, 0));
    r.arrive(arrival('3', 4, 3));
    r.arrive(arrival('2', 3, 2));
    r.interrupted();
    await turn();
    expect(delivered).toEqual(['1', '2', '3']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 4 }]);
  });

  it('repairs a loss during the repair', async () => {
    const kept = [arrival('2', 3, 2)];
    const { channel: r, delivered, gaps } = channel(kept);
    r.arrive(arrival('1', 2, 0));
    r.arrive(arrival('3', 4, 3));
    r.arrive(arrival('5', 6, 5));
    await Promise.resolve();
    kept.push(arrival('3', 4, 3), arrival('4', 5, 4));
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4', '5']);
    expect(gaps).toEqual([]);
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

/** A channel whose reads of the history find `answers`, in this order, and fail after them. */
function answering(...answers: readonly Found[]) {
  let count = 0;
  const refused = Promise.reject(new Error('refused'));
  refused.catch(() => {});
  const read = (): Promise<Found> => {
    const answer = answers[count++];
    return answer === undefined ? refused : Promise.resolve(answer);
  };
  return { ...reading(read), reads: () => count };
}

const complete = (...arrivals: readonly Arrival[]): Found => ({ arrivals, complete: true });
const incomplete = (...arrivals: readonly Arrival[]): Found => ({ arrivals, complete: false });

describe('Channel whose history is read more than once', () => {
  it('repairs a loss during a read that finds nothing', async () => {
    const { channel: r, delivered, gaps } = answering(complete(), complete(arrival('2', 2)));
    r.arrive(arrival('1', 1));
    r.interrupted();
    r.arrive(arrival('3', 3));
    await turn();
    expect(delivered).toEqual(['1', '2', '3']);
    expect(gaps).toEqual([]);
  });

  it('repairs a loss when the first read is older than the message that shows it', async () => {
    const { channel: r, delivered, gaps } = answering(complete(), complete(arrival('2', 2)));
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    await turn();
    expect(delivered).toEqual(['1', '2', '3']);
    expect(gaps).toEqual([]);
  });

  it('repairs a loss by an outage during the read', async () => {
    const first = complete(arrival('2', 2), arrival('3', 3));
    const { channel: r, delivered, gaps } = answering(first, complete(arrival('4', 4)));
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    r.interrupted();
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4']);
    expect(gaps).toEqual([]);
  });

  it('repairs a loss by an outage during the read, after a gap too', async () => {
    const {
      channel: r,
      delivered,
      gaps,
    } = answering(incomplete(arrival('3', 3)), complete(arrival('4', 4)));
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    r.interrupted();
    await turn();
    expect(delivered).toEqual(['1', '3', '4']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 1 }]);
  });

  it('reads on after the limit of a read', async () => {
    const first = incomplete(arrival('2', 2), arrival('3', 3));
    const { channel: r, delivered, gaps } = answering(first, complete(arrival('4', 4)));
    r.arrive(arrival('1', 1));
    r.interrupted();
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4']);
    expect(gaps).toEqual([]);
  });

  it('reads what could not be held', async () => {
    const all = Array.from({ length: 10_010 }, (_, i) => arrival(String(i + 1), i + 1));
    const {
      channel: r,
      delivered,
      gaps,
    } = answering(complete(all[1]!), complete(...all.slice(10_000)));
    for (const each of all) if (each !== all[1]) r.arrive(each);
    await turn();
    expect(delivered).toEqual(all.map((_, i) => String(i + 1)));
    expect(gaps).toEqual([]);
  });

  it('reads on after the limit of a read, after a gap too', async () => {
    const first = incomplete(arrival('3', 3));
    const { channel: r, delivered, gaps } = answering(first, complete(arrival('4', 4)));
    r.arrive(arrival('1', 1));
    r.interrupted();
    await turn();
    expect(delivered).toEqual(['1', '3', '4']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 1 }]);
  });

  it('reads what could not be held during a read that finds nothing', async () => {
    const all = Array.from({ length: 10_010 }, (_, i) => arrival(String(i + 1), i + 1));
    const { channel: r, delivered, gaps } = answering(complete(), complete(...all.slice(10_000)));
    r.arrive(all[0]!);
    r.interrupted();
    for (const each of all.slice(1)) r.arrive(each);
    await turn();
    expect(delivered).toEqual(all.map((_, i) => String(i + 1)));
    expect(gaps).toEqual([]);
  });

  it('repairs a loss during the read after an outage', async () => {
    const answers = [complete(), complete(), complete(arrival('2', 2))];
    let reads = 0;
    const room = reading(() => {
      const answer = answers[reads++]!;
      // The first read is interrupted, and message 2 is lost during the second one.
      if (reads === 1) room.channel.interrupted();
      if (reads === 2) room.channel.arrive(arrival('3', 3));
      return Promise.resolve(answer);
    });
    room.channel.arrive(arrival('1', 1));
    room.channel.interrupted();
    await turn();
    expect(room.delivered).toEqual(['1', '2', '3']);
    expect(room.gaps).toEqual([]);
  });

  it('reads once if the read fails, however many messages are missing', async () => {
    const { channel: r, delivered, gaps, reads } = answering();
    for (const offset of [1, 3, 5, 7]) r.arrive(arrival(String(offset), offset));
    await turn();
    expect(delivered).toEqual(['1', '3', '5', '7']);
    expect(gaps).toHaveLength(3);
    expect(reads()).toBe(1);
  });

  it('reports a lost message once, if a later read finds all others', async () => {
    const ofNodeM = (text: string, offset: number) => arrival(text, offset, undefined, 'e', 'm');
    const {
      channel: r,
      delivered,
      gaps,
    } = answering(incomplete(ofNodeM('3', 3)), complete(ofNodeM('4', 4)));
    r.arrive({ ...arrival('1', 0), position: undefined });
    r.arrive(ofNodeM('2', 1));
    // Message 2 of node n had the offset 2.
    r.digest(arrival('2', 0).envelope);
    r.arrive(ofNodeM('5', 5));
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4', '5']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 1 }]);
  });

  it('does not report a message that the next repair finds', async () => {
    const second = complete(arrival('3', 2, 1, 'f'));
    const { channel: r, delivered, gaps } = answering(complete(), second);
    r.arrive(arrival('1', 1));
    r.digest(arrival('3', 0).envelope);
    r.arrive(arrival('2', 1, 0, 'f'));
    r.arrive(arrival('4', 3, 2, 'f'));
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4']);
    expect(gaps).toEqual([]);
  });
});

describe('Channel whose read fails after an outage', () => {
  it('reports nothing when the messages that arrive meanwhile follow', async () => {
    const { channel: r, delivered, gaps } = answering();
    r.arrive(arrival('1', 1));
    r.interrupted();
    r.arrive(arrival('2', 2));
    await turn();
    r.arrive(arrival('3', 3));
    expect(delivered).toEqual(['1', '2', '3']);
    expect(gaps).toEqual([]);
  });

  it('reports a message that never reached the engine once', async () => {
    const { channel: r, delivered, gaps } = answering();
    r.arrive(arrival('1', 1));
    r.interrupted();
    r.arrive(arrival('3', 2));
    await turn();
    expect(delivered).toEqual(['1', '3']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 1 }]);
  });

  it.each([
    ['all messages have arrived before it', []],
    ['only an earlier message arrives after it', [arrival('2', 2)]],
  ])('reports a gap when %s', async (_, since) => {
    const { channel: r, delivered, gaps } = answering();
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    r.arrive(arrival('2', 2));
    r.interrupted();
    for (const late of since) r.arrive(late);
    await turn();
    expect(delivered).toEqual(['1', '2', '3']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 3 }]);
  });
});

describe('Channel after a failed repair', () => {
  it('drops a message that arrives again', async () => {
    const { channel: r, delivered, gaps } = answering();
    r.arrive(arrival('1', 1));
    r.interrupted();
    await turn();
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    expect(delivered).toEqual(['1', '3']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 1 }]);
  });

  it('delivers a late message that a digest has announced', async () => {
    const { channel: r, delivered, gaps } = answering();
    r.arrive(arrival('1', 1));
    r.digest(arrival('2', 0).envelope);
    await turn();
    r.arrive(arrival('2', 2));
    r.digest(arrival('2', 0).envelope);
    expect(delivered).toEqual(['1', '2']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 1 }]);
  });
});

describe('Channel with an outage before its first message', () => {
  it('reports no gap when late messages fill a hole', async () => {
    const { channel: r, delivered, gaps } = answering();
    r.interrupted();
    expect(gaps).toEqual([undefined]);
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    r.arrive(arrival('2', 2));
    await turn();
    expect(delivered).toEqual(['1', '2', '3']);
    expect(gaps).toEqual([undefined]);
  });
});

describe('Channel whose epoch changes during a repair', () => {
  it('reports messages that the new epoch lacks, and delivers none twice', async () => {
    const { channel: r, delivered, gaps } = answering(complete(arrival('2', 2)));
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    r.arrive(arrival('6', 6, 5, 'f'));
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '6']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 3 }]);
  });

  it('reports a gap in each place where messages are missing', async () => {
    const { channel: r, delivered, gaps } = answering();
    r.arrive(arrival('1', 1));
    r.arrive(arrival('3', 3));
    r.arrive(arrival('6', 6, 5, 'f'));
    await turn();
    expect(delivered).toEqual(['1', '3', '6']);
    expect(gaps).toEqual([
      { epoch: 'e', offset: 1 },
      { epoch: 'e', offset: 3 },
    ]);
  });
});

describe('Channel in a new epoch during a repair', () => {
  it('reports each outage in its place', async () => {
    const { channel: r, delivered, gaps } = channel([], false);
    r.arrive(arrival('1', 5));
    r.interrupted();
    r.arrive(arrival('2', 1, 0, 'f'));
    r.interrupted();
    r.arrive(arrival('3', 1, 0, 'g'));
    await turn();
    expect(delivered).toEqual(['1', '2', '3']);
    expect(gaps).toEqual([
      { epoch: 'e', offset: 5 },
      { epoch: 'f', offset: 1 },
    ]);
  });

  it('reports messages that it could not hold', async () => {
    const { channel: r, delivered, gaps } = channel([], false);
    r.arrive(arrival('1', 1));
    r.interrupted();
    for (let i = 2; i <= 10_002; i++) r.arrive(arrival(String(i), i - 1, undefined, 'f'));
    await turn();
    expect(delivered).toHaveLength(10_001);
    expect(gaps).toEqual([
      { epoch: 'e', offset: 1 },
      { epoch: 'f', offset: 10_000 },
    ]);
  });
});

describe('Channel with an unreadable message during a repair', () => {
  const unreadable = (offset: number): Arrival => ({
    envelope: undefined,
    position: { epoch: 'e', offset },
  });

  it.each([
    ['arrives', [], [unreadable(3)]],
    ['is in the history', [unreadable(3)], []],
    ['arrives, and is in the history', [unreadable(3)], [unreadable(3)]],
  ])('reports one gap when it %s', async (_, kept, arrived) => {
    const { channel: r, delivered, gaps } = channel([arrival('2', 2), ...kept]);
    r.arrive(arrival('1', 1));
    r.interrupted();
    for (const each of arrived) r.arrive(each);
    r.arrive(arrival('4', 4));
    await turn();
    r.arrive(arrival('5', 5));
    expect(delivered).toEqual(['1', '2', '4', '5']);
    expect(gaps).toEqual([{ epoch: 'e', offset: 2 }]);
  });
});

describe('Channel with a digest', () => {
  it('reads on after the limit of a read, although a late message has arrived', async () => {
    const first = incomplete(arrival('2', 2), arrival('3', 3));
    const { channel: r, delivered, gaps } = answering(first, complete(arrival('4', 4)));
    r.arrive(arrival('1', 1));
    r.digest(arrival('4', 0).envelope);
    r.arrive(arrival('2', 2));
    await turn();
    expect(delivered).toEqual(['1', '2', '3', '4']);
    expect(gaps).toEqual([]);
  });
});
