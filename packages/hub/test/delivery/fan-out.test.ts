import { Conn } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakePlatform } from '../../../../tests/kit/fake-platform.ts';
import { collectGarbage } from '../../../../tests/kit/heap.ts';
import { TestTransport } from '../../../../tests/kit/test-transport.ts';

const SLICE_MS = 8;
/** Time that a write takes, and the longest time of a batch of them. */
const WRITE_MS = 1 / 32;
const BATCH_MS = 2;

/** Writes take time. */
class WorkPlatform extends FakePlatform {
  time = 0;
  timeouts: (() => void)[] = [];

  override setTimer(_ms: number, callback: () => void): () => void {
    this.timeouts.push(callback);
    return () => void (this.timeouts = this.timeouts.filter((each) => each !== callback));
  }

  override now(): number {
    return this.time;
  }
}

class Socket extends TestTransport {
  override write(chunk: Uint8Array, release?: () => void): boolean {
    platform.time += WRITE_MS;
    return super.write(chunk, release);
  }
}

interface Member {
  readonly session: Session;
  readonly transport: TestTransport;
}

let platform: WorkPlatform;
let hub: Hub;

beforeEach(() => {
  platform = new WorkPlatform({ automatic: false });
  hub = new Hub();
});

function add(...rooms: string[]): Member {
  const transport = new Socket();
  const conn = new Conn(transport, { role: 'server', platform, heartbeat: false });
  const session = hub.add(conn);
  for (const room of rooms) void session.join(room);
  return { session, transport };
}

const addMany = (count: number, ...rooms: string[]): Member[] =>
  Array.from({ length: count }, () => add(...rooms));

/** The one-letter messages that a member has received. */
function got({ transport }: Member): string {
  const frames = Buffer.concat(transport.writes);
  return frames.filter((_, i) => i % 3 === 2).toString();
}

const publish = (text: string, room = 'r') => hub.room(room).publish(text);

async function endOfTurn(): Promise<void> {
  do {
    await new Promise((resolve) => process.nextTick(resolve));
    platform.runDeferred();
  } while (platform.deferred > 0);
}

async function nextTurn(): Promise<void> {
  platform.runYielded();
  await endOfTurn();
}

/** The ms that each turn takes until all work is done. `work` is part of the first one. */
async function turnsOf(work: () => void): Promise<number[]> {
  const durations: number[] = [];
  let start = platform.time;
  work();
  for (;;) {
    await endOfTurn();
    durations.push(platform.time - start);
    if (platform.yielded === 0) return durations;
    start = platform.time;
    platform.runYielded();
  }
}

describe('a turn of the event loop is short', () => {
  it.each<[string, () => void]>([
    [
      'one room of 2,000 members',
      () => {
        addMany(2_000, 'r');
        void publish('a');
      },
    ],
    [
      'two rooms and a broadcast',
      () => {
        addMany(1_000, 'r');
        addMany(1_000, 's');
        for (const room of ['r', 's']) void publish('a', room);
        hub.broadcast('b');
      },
    ],
    [
      '200 rooms of 8 members',
      () => {
        for (let i = 0; i < 200; i++) {
          addMany(8, `${i}`);
          void publish('a', `${i}`);
        }
      },
    ],
    [
      '1,000 messages to 60 members',
      () => {
        addMany(60, 'r');
        hub.on('sent', () => void (platform.time += WRITE_MS / 32));
        for (let i = 0; i < 1_000; i++) void publish('a');
      },
    ],
    [
      'a handler that takes 1 ms after it has published',
      () => {
        addMany(2_000, 'r');
        void publish('a');
        platform.time += 1;
      },
    ],
    [
      'a hub of 1,000 sessions that closes',
      () => {
        addMany(1_000, 'r');
        void hub.close();
      },
    ],
  ])('with %s', async (_, work) => {
    const durations = await turnsOf(work);
    expect(Math.max(...durations)).toBeLessThanOrEqual(SLICE_MS + BATCH_MS);
    expect(durations.length).toBeGreaterThan(3);
  });

  it('with many callbacks that publish in the same turn of the event loop', async () => {
    for (let i = 0; i < 10; i++) addMany(120, `${i}`);
    const start = platform.time;
    for (let i = 0; i < 10; i++) {
      void publish('a', `${i}`);
      await endOfTurn();
    }
    expect(platform.time - start).toBeLessThanOrEqual(SLICE_MS + BATCH_MS);
    await turnsOf(() => {});
    expect(hub.stats.delivered).toBe(1_200);
  });
});

describe('a pass over many members', () => {
  let members: Member[];
  beforeEach(() => void (members = addMany(1_000, 'r')));

  const withMessage = (text: string) => members.filter((member) => got(member).includes(text));

  it('continues in later turns, and the next pass follows', async () => {
    void publish('a');
    await endOfTurn();
    const first = withMessage('a').length;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(1_000);
    void publish('b');
    // The first turn began in this one, so the next callback only waits for the turn after it.
    await nextTurn();
    await nextTurn();
    expect(withMessage('a').length).toBeGreaterThan(first);
    await platform.settle();
    for (const member of members) expect(got(member)).toBe('ab');
  });

  it('advances in each turn, also when the process pauses for a slice before it begins', async () => {
    platform.now = () => (platform.time += SLICE_MS);
    void publish('a');
    await nextTurn();
    for (let turn = 1; turn <= 3; turn++) {
      const before = withMessage('a').length;
      await nextTurn();
      expect(withMessage('a').length).toBeGreaterThan(before);
    }
  });

  it('does not delay a small room', async () => {
    const [one] = addMany(2, 's');
    void publish('a');
    void publish('b', 's');
    await endOfTurn();
    expect(got(one!)).toBe('b');
    expect(withMessage('a').length).toBeLessThan(1_000);
  });

  it('skips members that leave or close, and gives later messages to members that join', async () => {
    const [visited, leaves, closes] = [members[0]!, members[900]!, members[950]!];
    void publish('a');
    await endOfTurn();
    leaves.session.leave('r');
    closes.transport.destroy();
    void visited.session.leave('r');
    void visited.session.join('r');
    const late = add('r');
    void publish('b');
    await platform.settle();
    expect([visited, leaves, closes, late].map(got)).toEqual(['ab', '', '', 'b']);
    const others = members.filter((member) => ![visited, leaves, closes].includes(member));
    for (const member of others) expect(got(member)).toBe('ab');
  });

  it('gives a new member the messages after its join, also of the same turn', async () => {
    void publish('a');
    const late = add('r');
    void publish('b');
    await platform.settle();
    expect(got(late)).toBe('b');
    expect(got(members[0]!)).toBe('ab');
  });

  it('resolves publish when all members have the message', async () => {
    let done = false;
    const published = publish('a').then(() => {
      done = true;
    });
    await endOfTurn();
    expect(done).toBe(false);
    await platform.settle();
    await published;
    expect(withMessage('a')).toHaveLength(1_000);
  });

  it('refuses messages when too many wait', async () => {
    const published = Array.from({ length: 10_001 }, () => publish('x'));
    await expect(published.at(-1)).rejects.toMatchObject({ code: 'WS_ERR_OVERFLOW' });
    await publish('x', 'empty');
  });

  it.each([
    ['before the pass', async () => {}],
    ['during the pass', endOfTurn],
  ])('delivers all messages before the close frames of a hub that closes %s', async (_, when) => {
    void publish('a');
    await when();
    void hub.close({ timeout: 1_000 });
    await platform.settle();
    for (const { transport } of members) {
      expect(Buffer.concat(transport.writes).toString('latin1')).toMatch(/^\x81\x01a\x88/);
    }
  });

  it('does not keep a hub open while another node publishes in each turn', async () => {
    const broker = new MemoryBroker();
    const other = new Hub({ backplane: memoryBackplane(broker) });
    hub = new Hub({ backplane: memoryBackplane(broker) });
    members = addMany(500, 'r');
    await platform.settle();
    const fromOther = async (): Promise<void> => {
      await other.room('r').publish('a');
      await nextTurn();
    };
    await fromOther();
    void hub.close({ timeout: 1_000 });
    // Two passes take 8 turns, and the close frames 4.
    for (let i = 0; i < 20; i++) await fromOther();
    for (const { session } of members) expect(session.state).toBe('closed');
  });

  it('delivers to all members when a listener of sent closes the hub', async () => {
    const remove = hub.on('sent', () => {
      remove();
      void hub.close({ timeout: 1_000 });
    });
    void publish('a');
    await platform.settle();
    expect(hub.stats).toMatchObject({ delivered: 1_000, dropped: 0 });
  });

  it('keeps no session that has left, also when the room always has a message', async () => {
    const left: WeakRef<Session>[] = [];
    for (let i = 0; i < 40; i++) {
      void publish('a');
      left.push(leaves());
      await nextTurn();
    }
    // The connections that have ended are swept in the next turn.
    for (const fire of platform.timeouts.splice(0)) fire();
    await nextTurn();
    collectGarbage();
    // The present pass and the next one may still need the last sessions.
    const kept = left.filter((session) => session.deref() !== undefined).length;
    expect(kept).toBeLessThan(20);
    await platform.settle();

    function leaves(): WeakRef<Session> {
      const { session, transport } = add('r');
      session.leave('r');
      transport.destroy();
      return new WeakRef(session);
    }
  });
});

describe('a member that gets a message', () => {
  it.each<[string, (session: Session) => unknown]>([
    ['leaves', (session) => session.leave('r')],
    ['closes', (session) => session.close()],
  ])('and %s in the same turn receives it once', async (_, end) => {
    const [member, other] = addMany(2, 'r') as [Member, Member];
    void publish('a');
    void end(member.session);
    void publish('b');
    await platform.settle();
    const text = Buffer.concat(member.transport.writes).toString('latin1');
    expect(text).toMatch(/^\x81\x01a(\x88|$)/);
    expect(got(other)).toBe('ab');
  });

  it('and leaves in a listener of sent receives it once', async () => {
    const member = add('r');
    hub.on('sent', (session) => session.leave('r'));
    void publish('a');
    void publish('b');
    member.session.leave('r');
    await platform.settle();
    expect(got(member)).toBe('ab');
  });

  it('gets what a listener of sent publishes after the messages before it', async () => {
    const member = add('r');
    const remove = hub.on('sent', (session) => {
      remove();
      void publish('c');
      session.leave('r');
    });
    void publish('a');
    void publish('b');
    void member.session.close();
    await platform.settle();
    expect(got(member)).toMatch(/^abc/);
  });

  it('gets messages of broadcast and multiple in one order', async () => {
    const member = add();
    add();
    hub.broadcast('a');
    expect(hub.multiple([member.session], 'b')).toBe(1);
    hub.broadcast('c');
    await platform.settle();
    expect(got(member)).toBe('abc');
  });

  it('gets a message of multiple without a visit to all other sessions', async () => {
    const [member] = addMany(1_000) as [Member];
    const durations = await turnsOf(() => void hub.multiple([member.session], 'a'));
    expect(got(member)).toBe('a');
    // The turn of the delivery, and the one that ends its slice.
    expect(durations).toHaveLength(2);
  });
});
