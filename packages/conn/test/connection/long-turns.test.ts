// A turn has a time, not only a count: code that computes between its messages does not delay them.
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  broadcast,
  type Conn,
  PingMessage,
  PreparedMessage,
  TextMessage,
} from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const WORK = 150;

/** A platform that counts the looks at its clock. */
class CountingPlatform extends FakePlatform {
  looks = 0;

  override now(): number {
    this.looks++;
    return super.now();
  }
}

/** Calls `send` four times, and computes after each. Returns the number of writes after each call. */
function sendAndCompute({ platform, transport }: Wired, send: (i: number) => void): number[] {
  const before = transport.writes.length;
  return [0, 1, 2, 3].map((i) => {
    send(i);
    const writes = transport.writes.length - before;
    platform.compute(WORK);
    return writes;
  });
}

describe.each(['server', 'client'] as const)('B6-4 a turn that computes, of a %s', (role) => {
  it('writes each message after the first at once', async () => {
    const wires = wired(role);
    await wires.platform.settle();
    const writes = sendAndCompute(wires, (i) => void wires.conn.send(`${i}`));
    expect(writes).toEqual([0, 1, 2, 3]);
    expect(await wires.output()).toEqual(['text 0', 'text 1', 'text 2', 'text 3']);
    expect(wires.transport.writes).toHaveLength(3);
  });

  it('writes prepared messages and broadcasts at once', async () => {
    const wires = wired(role);
    const { conn } = wires;
    await wires.platform.settle();
    const prepared = sendAndCompute(wires, (i) => {
      void conn.writePreparedMessage(new PreparedMessage(TextMessage, `${i}`));
    });
    await wires.platform.settle();
    const sent = sendAndCompute(wires, (i) => void broadcast([conn], `${i}`));
    expect([prepared, sent]).toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3],
    ]);
    expect((await wires.output()).slice(4)).toEqual(['text 0', 'text 1', 'text 2', 'text 3']);
  });

  it('writes pings and the fragments of a writer at once', async () => {
    const wires = wired(role, { writeBufferSize: 4 });
    const { conn } = wires;
    await wires.platform.settle();
    expect(sendAndCompute(wires, () => void conn.writeControl(PingMessage))).toEqual([0, 1, 2, 3]);
    const writer = await conn.nextWriter(TextMessage);
    await wires.platform.settle();
    // Each call but the first sends two fragments.
    expect(sendAndCompute(wires, () => void writer.write('12345678'))).toEqual([0, 2, 4, 6]);
  });

  it('writes at once what an async handler of receive sends', async () => {
    const wires = wired(role);
    const { conn, deliver, frame } = wires;
    const writes: number[] = [];
    void conn.receive(async () => {
      for (let i = 0; i < 4; i++) {
        await conn.send(`${i}`);
        writes.push(wires.transport.writes.length);
        wires.platform.compute(WORK);
      }
    });
    await wires.platform.settle();
    await deliver(frame(1, 'go'));
    expect(writes).toEqual([0, 1, 2, 3]);
  });

  it('writes at once what a handler of receive sends before it returns', async () => {
    const wires = wired(role);
    const { conn, deliver, frame } = wires;
    let writes: number[] = [];
    void conn.receive(() => {
      writes = sendAndCompute(wires, (i) => void conn.send(`${i}`));
    });
    await wires.platform.settle();
    await deliver(frame(1, 'go'));
    expect(writes).toEqual([0, 1, 2, 3]);
    await deliver(frame(1, 'go'));
    expect(writes).toEqual([0, 1, 2, 3]);
  });

  it('writes the answers to the messages of one chunk at once', async () => {
    const wires = wired(role);
    const { conn, deliver, frame, transport } = wires;
    const writes: number[] = [];
    void conn.receive((message) => {
      void conn.send(message);
      writes.push(transport.writes.length);
      wires.platform.compute(WORK);
    });
    await wires.platform.settle();
    await deliver(...Array.from({ length: 6 }, (_, i) => frame(1, `${i}`)));
    expect(writes).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it.each([
    ['receive', (conn: Conn, answer: () => void) => conn.receive(answer)],
    [
      'for await',
      async (conn: Conn, answer: () => void) => {
        for await (const _ of conn) answer();
      },
    ],
  ])(
    'lets no more answers by %s wait than were quick before, in fragments too',
    async (_, read) => {
      const wires = wired(role, { fragmentationThreshold: 10 });
      const { conn, deliver, frame, transport, platform } = wires;
      const waited: number[] = [];
      let answers = 0;
      let sent = 0;
      void read(conn, () => {
        void conn.send('a message of 3 fragments');
        answers++;
        if (transport.writes.length > sent) {
          sent = transport.writes.length;
          waited.push(answers);
        }
        // The first three are quick.
        if (answers > 2) platform.compute(WORK);
      });
      await platform.settle();
      await deliver(...Array.from({ length: 8 }, (_, i) => frame(1, `${i}`)));
      expect(waited).toEqual([4, 5, 6, 7, 8]);
    },
  );

  it('is over with the turn', async () => {
    const wires = wired(role);
    await wires.platform.settle();
    sendAndCompute(wires, (i) => void wires.conn.send(`${i}`));
    await wires.platform.settle();
    const before = wires.transport.writes.length;
    for (let i = 0; i < 10; i++) void wires.conn.send('short');
    expect(wires.transport.writes).toHaveLength(before);
    await wires.platform.settle();
    expect(wires.transport.writes).toHaveLength(before + 1);
  });

  it('settles the promises as another turn does', async () => {
    const wires = wired(role, { highWaterMark: 10 });
    const { conn, platform, transport, sent } = wires;
    await platform.settle();
    transport.block();
    let settled = 0;
    for (let i = 0; i < 3; i++) {
      void conn.send('0123456789').then(() => settled++);
      platform.compute(WORK);
    }
    await platform.settle();
    // The first one was accepted below the high-water mark. The transport took it, and no more.
    expect([settled, sent().length]).toEqual([1, 2]);
    transport.drain();
    await platform.settle();
    expect([settled, sent().length]).toEqual([3, 3]);
  });
});

describe('B6-4 a turn that does not compute', () => {
  it('is one write for ten messages, whatever the time before the first', async () => {
    const { conn, platform, transport } = wired('server');
    await platform.settle();
    for (let turns = 0; turns < 3; turns++) {
      platform.compute(WORK);
      for (let i = 0; i < 10; i++) void conn.send(`${i}`);
      await platform.settle();
      expect(transport.writes).toHaveLength(turns + 1);
    }
  });

  it.each([
    ['receive', (conn: Conn) => conn.receive((message) => conn.send(message))],
    [
      'for await',
      async (conn: Conn) => {
        for await (const message of conn) await conn.send(message.data);
      },
    ],
  ])('does not look at the clock for each answer by %s', async (_, echo) => {
    const platform = new CountingPlatform();
    const { conn, deliver, frame, transport } = wired('server', {}, 0, platform);
    void echo(conn);
    await platform.settle();
    const before = platform.looks;
    await deliver(...Array.from({ length: 100 }, (_, i) => frame(1, `${i}`)));
    expect(platform.looks - before).toBeLessThanOrEqual(8);
    expect(transport.writes).toHaveLength(1);
  });

  it('looks at the clock for few of many messages', async () => {
    const platform = new CountingPlatform();
    const { conn, transport } = wired('server', { maxBufferedAmount: false }, 0, platform);
    await platform.settle();
    const before = platform.looks;
    for (let i = 0; i < 900; i++) void conn.send(`${i}`);
    expect(platform.looks - before).toBeLessThanOrEqual(120);
    platform.compute(WORK);
    for (let i = 0; i < 60 && transport.writes.length === 0; i++) void conn.send(`${i}`);
    expect(transport.writes).toHaveLength(1);
    await platform.settle();
  });

  it('begins anew after a pass', async () => {
    const { conn, deliver, feed, frame, platform, transport } = wired('server');
    void conn.receive((message) => conn.send(message));
    await platform.settle();
    await deliver(frame(1, 'one'));
    platform.compute(WORK);
    feed(frame(1, 'two'), frame(1, 'three'), frame(1, 'four'));
    await platform.settle();
    expect(transport.writes).toHaveLength(2);
  });
});
