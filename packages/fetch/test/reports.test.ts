import { BackpressureError } from '@ws/conn';
import { type UpgradeHandler, upgrade } from '@ws/fetch';
import { dial } from '@ws/node-client';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { reportTo } from '../src/reports.ts';
import { run } from '../src/server-conn.ts';
import { connected } from './fake-conn.ts';
import { serve } from './serving.ts';

const boom = new Error('boom');
const throws = (): never => {
  throw boom;
};

const HANDLERS: [string, UpgradeHandler][] = [
  ['the handler', throws],
  ['receive, which the handler returns', (conn) => conn.receive(throws)],
];

/** Runs a handler, whose connection has to close with `code` after a message. */
async function closesWith(
  code: number,
  handler: UpgradeHandler,
  report: (error: unknown) => void,
): Promise<void> {
  const { conn, socket } = connected({ report });
  const request = new Request('http://example.org');
  const ended = run(conn, { handler, auth: true, request });
  socket.emit('message', { data: 'go' });
  await expect.poll(() => socket.closes).toEqual([code]);
  socket.emit('close', { code, wasClean: true });
  await ended;
}

describe('report', () => {
  it.each(HANDLERS)('gets an error of %s once for each connection, on Node', async (_, handler) => {
    const reports: unknown[] = [];
    const report = (error: unknown): void => void reports.push(error);
    const url = await serve((request) => upgrade(request, { report }, handler));
    for (let i = 0; i < 2; i++) {
      const conn = await dial(url);
      await conn.send('go');
      expect((await conn.closed).code).toBe(1011);
    }
    await expect.poll(() => reports).toEqual([boom, boom]);
  });

  it.each(HANDLERS)(
    'gets an error of %s once for each connection, elsewhere',
    async (_, handler) => {
      const reports: unknown[] = [];
      const report = (error: unknown): void => void reports.push(error);
      for (let i = 0; i < 2; i++) await closesWith(1011, handler, report);
      expect(reports).toEqual([boom, boom]);
    },
  );

  it('has a close with 1013 after a BackpressureError, elsewhere', async () => {
    const handler = () => Promise.reject(new BackpressureError('full'));
    await closesWith(1013, handler, () => {});
  });

  it('gets the wrong argument of a write once, and nothing else is printed', async () => {
    const prints = vi.spyOn(console, 'error');
    onTestFinished(() => prints.mockRestore());
    const reports: unknown[] = [];
    const handler: UpgradeHandler = (each) => each.receive(() => each.send(undefined as never));
    await closesWith(1011, handler, (error) => void reports.push(error));
    expect(reports).toEqual([expect.any(TypeError)]);
    expect(prints.mock.calls).toEqual([]);
  });

  it('gets each error without an owner', () => {
    const reports: unknown[] = [];
    const report = (error: unknown): void => void reports.push(error);
    for (let i = 0; i < 2; i++) reportTo(report, boom, { where: 'handler' });
    expect(reports).toEqual([boom, boom]);
  });

  it('gets a value that is no object once', () => {
    const reports: unknown[] = [];
    const report = (error: unknown): void => void reports.push(error);
    const request = new Request('http://example.org');
    for (let i = 0; i < 2; i++) reportTo(report, undefined, { where: 'fetch', request });
    expect(reports).toEqual([undefined]);
  });
});

describe('without the option report', () => {
  let now = Date.now();

  const printedBy = (report: () => void): unknown[][] => {
    const prints = vi.spyOn(console, 'error').mockImplementation(() => {});
    now += 10_000;
    vi.useFakeTimers({ toFake: ['Date'], now });
    onTestFinished(() => {
      prints.mockRestore();
      vi.useRealTimers();
    });
    // With it come the errors that an earlier test has not seen.
    reportTo(undefined, new Error('first'), { where: 'fetch' });
    prints.mockClear();
    report();
    return prints.mock.calls;
  };
  const parse = (text: string): unknown => {
    try {
      return JSON.parse(text);
    } catch (error) {
      return error;
    }
  };
  const fail = (text: string): void => {
    const request = new Request('http://example.org');
    reportTo(undefined, parse(text), { where: 'fetch', request });
  };

  it('prints one error of a kind a second, with the number of the others', () => {
    const calls = printedBy(() => {
      for (let i = 0; i < 300; i++) fail(`hostile ${i}\n    at nowhere:${i}`);
      reportTo(undefined, boom, { where: 'fetch' });
      vi.advanceTimersByTime(1_000);
      fail('later');
    });
    expect(calls).toEqual([
      [expect.any(SyntaxError)],
      [boom, '(errors not printed before it: 299)'],
      [expect.any(SyntaxError)],
    ]);
  });

  it('prints at most 100 kinds a second', () => {
    const calls = printedBy(() => {
      for (let i = 0; i < 300; i++) {
        const error = Object.assign(new Error('boom'), { name: `Error${i}` });
        reportTo(undefined, error, { where: 'fetch' });
      }
    });
    expect(calls).toHaveLength(99);
  });

  it('prints an error that report has failed to take, and the error of report', async () => {
    const fault = new RangeError('no report');
    const report = (): unknown => Promise.reject(fault);
    const calls = printedBy(() => reportTo(report, boom, { where: 'fetch' }));
    await expect.poll(() => calls).toEqual([[boom], [fault]]);
  });

  it.each([undefined, null, 'text', Object.create(null)])('prints %s', (error) => {
    const calls = printedBy(() => reportTo(undefined, error, { where: 'fetch' }));
    expect(calls[0]![0]).toBe(error);
  });
});
