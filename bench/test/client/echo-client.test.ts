import { describe, expect, it } from 'vitest';
import { EchoClient } from '../../src/client/echo-client.ts';
import { Messages } from '../../src/client/messages.ts';
import { Tally } from '../../src/client/tally.ts';

/** A client with a connection that records messages, and with a manual clock. */
function client(depth: number): {
  client: EchoClient;
  wire: Uint8Array[];
  tally: Tally;
  clock: { now: number };
} {
  const wire: Uint8Array[] = [];
  const clock = { now: 0 };
  const tally = new Tally();
  const conn = {
    writeMessage: (_: number, data: unknown): Promise<void> => {
      wire.push((data as Uint8Array).slice());
      return Promise.resolve();
    },
  };
  const messages = new Messages(16, false, false);
  const shared = { messages, tally, depth, now: () => clock.now };
  return { client: new EchoClient(conn, 0, shared), wire, tally, clock };
}

/** Latencies rounded to a millisecond, in ascending order. */
function latencies(tally: Tally): number[] {
  const { totalCount } = tally.latency;
  return Array.from({ length: totalCount }, (_, i) =>
    Math.round(tally.latency.getValueAtPercentile((100 * (i + 1)) / totalCount) / 1000),
  );
}

describe('EchoClient', () => {
  it('keeps `depth` messages in flight until it stops', () => {
    const { client: one, wire, tally } = client(3);
    one.loop();
    expect(wire).toHaveLength(3);
    one.echo(wire[0]!, false);
    expect(wire).toHaveLength(4);
    one.stop();
    for (const message of wire.slice(1)) one.echo(message, false);
    expect(wire).toHaveLength(4);
    expect(one.idle).toBe(true);
    expect([tally.sent, tally.echoed, tally.errors]).toEqual([4, 4, 0]);
  });

  it('counts latency from the due moment of a message, not from its sending', () => {
    const { client: one, wire, tally, clock } = client(1);
    for (let moment = 0; moment < 500; moment += 100) {
      clock.now = moment;
      one.plan(moment);
    }
    // The server stalls: one message is in flight, and four wait for its place.
    expect(wire).toHaveLength(1);
    clock.now = 500;
    for (let i = 0; i < 5; i++) one.echo(wire[i]!, false);
    expect(latencies(tally)).toEqual([100, 200, 300, 400, 500]);
  });

  it('counts latency from the planned moment when the load is late, and records the delay', () => {
    const { client: one, wire, tally, clock } = client(10);
    clock.now = 30;
    one.plan(10);
    clock.now = 35;
    one.echo(wire[0]!, false);
    expect(latencies(tally)).toEqual([25]);
    expect(tally.late.maxValue).toBeGreaterThanOrEqual(20_000);
  });

  it('gives up overdue messages, sent or not', () => {
    const { client: one, wire, tally, clock } = client(1);
    for (const moment of [0, 10, 20]) one.plan(moment);
    clock.now = 100;
    one.giveUp(15);
    expect(Object.fromEntries(tally.failures)).toEqual({
      timeout: { count: 2, example: 'no echo in time' },
    });
    // The third message takes a free place.
    expect(wire).toHaveLength(2);
    // The latency of both is at least the time waited.
    expect([latencies(tally), tally.givenUp, tally.echoed]).toEqual([[90, 100], 2, 0]);
  });

  it('sends thousands of waiting messages in order', () => {
    const { client: one, wire, tally } = client(1);
    for (let i = 0; i < 10_000; i++) one.plan(i);
    for (let i = 0; i < 10_000; i++) one.echo(wire[i]!, false);
    expect(one.idle).toBe(true);
    expect([tally.sent, tally.errors]).toEqual([10_000, 0]);
  });

  it('counts the messages in flight at the end of the connection, and sends nothing more', () => {
    const { client: one, wire, tally } = client(2);
    one.loop();
    one.end();
    one.echo(wire[0]!, false);
    expect(wire).toHaveLength(2);
    expect(tally.failures.get('missing')?.count).toBe(2);
    expect(one.idle).toBe(true);
  });

  it('excludes a wrong echo from echoes and latency', () => {
    const { client: one, wire, tally } = client(3);
    for (const moment of [0, 0, 0]) one.plan(moment);
    one.echo(wire[0]!.with(15, wire[0]![15]! ^ 1), false);
    one.echo(wire[1]!, true);
    one.echo(wire[2]!, false);
    expect([...tally.failures.keys()]).toEqual(['wrong content', 'wrong type']);
    expect([tally.echoed, tally.seconds, tally.latency.totalCount]).toEqual([1, [1], 1]);
  });

  it('counts messages as skipped that become due after its end', () => {
    const { client: one, tally } = client(1);
    one.end();
    one.plan(0);
    expect([tally.due, tally.skipped, tally.errors]).toEqual([0, 1, 0]);
  });

  it('removes terminal control characters from an example', () => {
    const { client: one, tally } = client(1);
    one.echo(Buffer.from('\u001b[2Jhello\n'), true);
    expect(tally.failures.get('extra')?.example).toBe("got 10 bytes of text '.[2Jhello.', sent 16");
  });
});

describe('Tally', () => {
  it('adds the counts of several processes', () => {
    const [sum, other] = [new Tally(), new Tally()];
    sum.echo(100, 1);
    other.echo(1500, 3);
    other.echo(900, 2);
    other.fail('timeout', 'second');
    other.giveUp(4);
    other.skipped = 5;
    sum.fail('timeout', 'first');
    sum.add(JSON.parse(JSON.stringify(other.record())));
    expect(sum.seconds).toEqual([2, 1]);
    expect(latencies(sum)).toEqual([1, 2, 3, 4]);
    expect([sum.echoed, sum.givenUp, sum.skipped]).toEqual([3, 1, 5]);
    expect(sum.failures.get('timeout')).toEqual({ count: 2, example: 'first' });
    expect(sum.errors).toBe(2);
  });
});
