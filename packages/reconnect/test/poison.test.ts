import { type Conn, connPair } from '@ws/conn';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ReconnectingConn, type ResendOptions } from '../src/index.ts';

const MINUTE = 60_000;
const RESEND: ResendOptions = {
  id: (data) => (typeof data === 'string' ? data : undefined),
  acknowledged: (message) => /^ack (.*)$/.exec(message.text())?.[1],
};

interface Sent {
  readonly reports: string[];
  readonly poisoned: () => string;
  readonly behind: () => string;
  readonly dials: () => number;
}

/** Sends 'poison' and 'behind'. The server closes with `code` at the first, and acknowledges others. */
function send(code: number, resend: Partial<ResendOptions> = {}, delay = 1): Sent {
  let dials = 0;
  const dial = async (): Promise<Conn> => {
    dials++;
    const [client, server] = connPair({ heartbeat: false });
    void server
      .receive((message) => {
        if (message.text() === 'poison') void server.close(code);
        else return server.send(`ack ${message.text()}`);
      })
      .catch(() => {});
    return client;
  };
  const reports: string[] = [];
  const conn = new ReconnectingConn(dial, {
    minDelay: delay,
    maxDelay: delay,
    report: (error) => void reports.push((error as Error).message),
    resend: { ...RESEND, ...resend },
  });
  onTestFinished(() => void conn.close());
  void conn.receive(() => {}).catch(() => {});
  const stateOf = (promise: Promise<void>): (() => string) => {
    let state = 'pending';
    promise.then(
      () => (state = 'resolved'),
      (error: Error) => (state = error.message),
    );
    return () => state;
  };
  const poisoned = stateOf(conn.send('poison'));
  return { reports, poisoned, behind: stateOf(conn.send('behind')), dials: () => dials };
}

describe('C10 a message that the peer refuses', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
  });
  afterEach(() => void vi.useRealTimers());

  it.each([1002, 1003, 1007, 1009])('with %i is rejected after three', async (code) => {
    const { poisoned, behind, dials } = send(code);
    while (poisoned() === 'pending') await vi.advanceTimersByTimeAsync(10);
    expect(poisoned()).toContain('3 connections ended at the message with the id "poison"');
    while (behind() === 'pending') await vi.advanceTimersByTimeAsync(10);
    expect(behind()).toBe('resolved');
    expect(dials()).toBeLessThanOrEqual(4);
  });

  it('with 1011 is reported at the fifth, and rejected after ten and ten minutes', async () => {
    const { reports, poisoned, behind, dials } = send(1011, {}, 30_000);
    while (dials() < 16) await vi.advanceTimersByTimeAsync(1_000);
    expect(poisoned()).toBe('pending');
    expect(reports.filter((text) => text.includes('5 connections ended at'))).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    expect(poisoned()).toMatch(/\d\d connections ended at the message with the id "poison"/);
    expect(behind()).toBe('resolved');
    expect(reports.filter((text) => text.includes('5 connections ended at'))).toHaveLength(1);
  });

  it('with 1011 is kept when ten minutes have not passed, and with poisonAfter: false', async () => {
    const early = send(1011);
    while (early.dials() < 21) await vi.advanceTimersByTimeAsync(10);
    expect(early.poisoned()).toBe('pending');
    const never = send(1011, { poisonAfter: false }, 30_000);
    while (never.dials() < 21) await vi.advanceTimersByTimeAsync(2 * MINUTE);
    expect(never.poisoned()).toBe('pending');
  });

  it('with 1011 is rejected sooner with a shorter poisonAfter, but not before ten', async () => {
    const { poisoned, behind, dials } = send(1011, { poisonAfter: 1 });
    while (poisoned() === 'pending') await vi.advanceTimersByTimeAsync(1);
    expect(dials()).toBeGreaterThanOrEqual(10);
    while (behind() === 'pending') await vi.advanceTimersByTimeAsync(1);
    expect(behind()).toBe('resolved');
  });

  it.each([0, -1, 1.5, 'x', null])('rejects poisonAfter: %j', (poisonAfter) => {
    const resend = { ...RESEND, poisonAfter: poisonAfter as number };
    const make = (): unknown => new ReconnectingConn(() => new Promise<Conn>(() => {}), { resend });
    expect(make).toThrow('resend.poisonAfter');
  });
});
