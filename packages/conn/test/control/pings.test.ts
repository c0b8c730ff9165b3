import { FakeHost } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { BackpressureError, PongMessage } from '../src/index.ts';
import { Pings } from '../src/pings.ts';
import { Deferred } from '../src/promises.ts';
import { wired } from './wired.ts';

/** Pings whose frames go nowhere, and what has become of each. */
function pingsOf(most = 10) {
  const host = new FakeHost();
  const pings = new Pings(host, most);
  const seen: string[] = [];
  const ping = (name: string, timeout = Infinity): Promise<number> => {
    const answer = pings.add(Buffer.from(name), timeout, () => Promise.resolve());
    answer.then(
      (ms) => seen.push(`${name}: ${ms}`),
      (error: Error) => seen.push(`${name}: ${error.name} ${error.message}`),
    );
    return answer;
  };
  const pong = (payload: string | Uint8Array): Promise<void> => {
    const bytes = Buffer.concat([Buffer.from('<<'), Buffer.from(payload), Buffer.from('>')]);
    pings.pong(bytes, 2, bytes.length - 1);
    return host.settle();
  };
  return { host, pings, seen, ping, pong };
}

describe('Pings', () => {
  it('are answered by the pong with all of their bytes, and older ones with them', async () => {
    const { host, pings, seen, ping, pong } = pingsOf();
    for (const name of ['ab', 'ac', 'abc']) {
      void ping(name, 1_000);
      await host.advance(10);
    }
    expect(pings.rtt).toBeNaN();
    for (const stray of ['a', 'ax', 'abcd', '']) await pong(stray);
    expect(seen).toEqual([]);
    await pong('ac');
    expect(seen).toEqual(['ab: 30', 'ac: 20']);
    expect([pings.rtt, host.timers]).toEqual([20, 1]);
    await pong('abc');
    expect(seen.slice(2)).toEqual(['abc: 10']);
    expect([pings.rtt, host.timers]).toEqual([10, 0]);
  });

  it('have payloads that tell them apart', () => {
    const { pings } = pingsOf();
    const payloads = Array.from({ length: 0x10203 }, () => pings.payload());
    expect(payloads[0]).toEqual(Uint8Array.of(0, 0, 0, 1));
    expect(payloads[0xff]).toEqual(Uint8Array.of(0, 0, 1, 0));
    expect(payloads.at(-1)).toEqual(Uint8Array.of(0, 1, 2, 3));
  });

  it('are as many as they may, those that were answered or given up not among them', async () => {
    const { seen, ping, pong } = pingsOf(2);
    void ping('a');
    void ping('b');
    await expect(ping('c')).rejects.toBeInstanceOf(BackpressureError);
    await pong('a');
    void ping('d');
    await expect(ping('e')).rejects.toThrow('2 pings are unanswered; raise maxPendingPings');
    expect(seen[1]).toBe('a: 0');
  });

  it('time out one by one', async () => {
    const { host, seen, ping, pong } = pingsOf();
    void ping('long', 90);
    void ping('short', 50);
    void ping('for ever');
    await host.advance(89);
    expect(seen).toEqual(['short: TimeoutError websocket: no pong came in time']);
    await host.advance(1);
    expect(seen.slice(1)).toEqual(['long: TimeoutError websocket: no pong came in time']);
    expect(host.timers).toBe(0);
    await pong('for ever');
    expect(seen.slice(2)).toEqual(['for ever: 90']);
  });

  it('can be given up, unless they are settled', async () => {
    const { host, pings, seen, ping, pong } = pingsOf();
    const [first, second] = [ping('a', 100), ping('b', 100)];
    expect(pings.giveUp(second, new Error('enough'))).toBe(true);
    await host.settle();
    expect(seen).toEqual(['b: Error enough']);
    expect(pings.giveUp(second, new Error('again'))).toBe(false);
    await pong('a');
    expect(await first).toBe(0);
    expect(host.timers).toBe(0);
  });

  it('that cannot be sent fail, the others wait on', async () => {
    const { host, pings, seen, ping, pong } = pingsOf();
    void ping('a', 100);
    const unsent = pings.add(Buffer.from('b'), 100, () => Promise.reject(new Error('no room')));
    await expect(unsent).rejects.toThrow('no room');
    await pong('a');
    expect(seen).toEqual(['a: 0']);
    expect(host.timers).toBe(0);
  });

  it('that were answered before they could not be sent leave the others waiting', async () => {
    const { host, pings, seen, ping, pong } = pingsOf();
    const sent = new Deferred<void>();
    const first = pings.add(Buffer.from('a'), 100, () => sent.promise);
    void ping('b');
    await pong('a');
    sent.reject(new Error('too late'));
    await host.settle();
    expect([await first, seen]).toEqual([0, []]);
    await pong('b');
    expect(seen).toEqual(['b: 0']);
  });

  it('are over when no pong can come any more, for the reason told first', async () => {
    const { host, pings, seen, ping } = pingsOf();
    void ping('a', 100);
    void ping('b');
    pings.end(new Error('gone'));
    pings.end(new Error('later'));
    await host.settle();
    expect(seen).toEqual(['a: Error gone', 'b: Error gone']);
    expect(host.timers).toBe(0);
    await expect(ping('c')).rejects.toThrow('gone');
  });

  it('of the heartbeat are the same until it is answered, and measured from the first', async () => {
    const { host, pings, pong } = pingsOf();
    const first = pings.beat();
    await host.advance(30);
    expect(pings.beat()).toBe(first);
    await host.advance(10);
    await pong(first);
    expect(pings.rtt).toBe(40);
    expect(pings.beat()).not.toEqual(first);
  });

  it('sent before the heartbeat’s are answered with it, those sent later are not', async () => {
    const { host, pings, seen, ping, pong } = pingsOf();
    void ping('before');
    await host.advance(5);
    const beat = pings.beat();
    void ping('in the same moment');
    await host.advance(5);
    void ping('after');
    await pong(beat);
    expect(seen).toEqual(['before: 10']);
    expect(pings.rtt).toBe(5);
    await pong('after');
    expect(seen.slice(1)).toEqual(['in the same moment: 5', 'after: 0']);
  });

  it('sent after the heartbeat’s wait on when it is answered', async () => {
    const { host, pings, seen, ping, pong } = pingsOf();
    const beat = pings.beat();
    await host.advance(5);
    void ping('after');
    await pong(beat);
    expect(seen).toEqual([]);
  });

  it('before the heartbeat’s are all answered with it when none came after', async () => {
    const { host, pings, seen, ping, pong } = pingsOf();
    void ping('a');
    void ping('b');
    await host.advance(5);
    await pong(pings.beat());
    expect(seen).toEqual(['a: 5', 'b: 5']);
    expect(pings.rtt).toBe(0);
  });
});

describe('the pong of the heartbeat', () => {
  it('settles the pings before it, which a busy peer need not answer', async () => {
    const heartbeat = { interval: 1_000, timeout: 10_000 };
    const { conn, host, feed, frame, sent } = wired('server', { heartbeat });
    const older = conn.ping('older');
    await host.advance(1_100);
    let younger = NaN;
    void conn.ping('younger').then((ms) => {
      younger = ms;
    });
    await host.settle();
    expect(sent()).toHaveLength(3);
    feed(frame(10, Uint8Array.of(0, 0, 0, 1)));
    expect(await older).toBeGreaterThanOrEqual(1_000);
    expect(conn.stats.rtt).toBeLessThan(1_000);
    expect(younger).toBeNaN();
    feed(frame(10, 'younger'));
    await host.settle();
    expect(younger).toBe(0);
    conn.terminate();
    await conn.closed;
    expect(host.timers).toBe(0);
  });
});

describe('the answer to a ping', () => {
  it('is not lost by a pong that nobody asked for, while the transport is blocked', async () => {
    const { conn, host, feed, frame, sent, transport } = wired('server');
    transport.block();
    void conn.send('in the way');
    await host.settle();
    feed(frame(9, 'first'), frame(9, 'second'));
    await host.settle();
    for (const payload of ['unasked', 'again']) void conn.writeControl(PongMessage, payload);
    await host.settle();
    transport.drain();
    await host.settle();
    expect(sent()).toEqual(['text in the way', 'pong second', 'pong again']);
  });
});

describe('a ping that waits for a blocked transport', () => {
  it('is not lost by the pongs that wait with it', async () => {
    const { conn, host, sent, transport } = wired('server');
    transport.block();
    void conn.send('in the way');
    await host.settle();
    void conn.ping('ping');
    for (const payload of ['unasked', 'again']) void conn.writeControl(PongMessage, payload);
    await host.settle();
    transport.drain();
    await host.settle();
    expect(sent()).toEqual(['text in the way', 'ping ping', 'pong again']);
  });
});
