// A close of the peer that crosses the question of the option `alive`: what it is blamed on.
import { contract, method } from '@ws/rpc';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { dial, ReconnectingConn } from '../src/index.ts';
import { socketClass } from './fake-web-socket.ts';
import { openAt, pass } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const QUESTION = '{"jsonrpc":"2.0","id":"$/alive","method":"$/alive"}';
const any = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
} as const;
const jobs = contract({ server: { report: method(any, any) } });

describe('P2 a close that crosses a question', () => {
  const QUIET = [1000, 1001, 1005, 1012, 1013, 4401];
  const BLAMED = [1003, 1006, 4000];

  /** Each connection of a page ends with the next code, after its first question. Returns the reports. */
  async function ends(codes: readonly number[], answered = false): Promise<string[]> {
    const reports: string[] = [];
    const report = (error: unknown): void => void reports.push(String(error));
    const { WebSocket, sockets } = socketClass();
    const live = new ReconnectingConn('ws://h', { WebSocket, minDelay: 1, maxDelay: 2, report });
    const peer = jobs.connect(live, {});
    for (const [i, code] of codes.entries()) {
      await pass(5);
      const socket = await openAt(sockets, i);
      peer.report(i).catch(() => {});
      expect(socket.sent[0]).toBe(QUESTION);
      if (answered) socket.message('{"jsonrpc":"2.0","id":"$/alive","result":null}');
      socket.end(code, '', true);
      await pass(1);
    }
    const closing = live.close();
    await pass(0);
    for (const socket of sockets) if (socket.readyState < 3) socket.end(1000);
    await closing;
    return reports;
  }

  it.each([...QUIET, 1002, 1003, 1011, 4000])('is no report once: %i', async (code) => {
    expect(await ends([code])).toEqual([]);
    expect(await ends([code, 1006, code])).toEqual([]);
    expect(await ends([code, 1001, code])).toEqual([]);
  });

  it.each(QUIET)('is no report on each connection: %i', async (code) => {
    expect(await ends([code, code, code])).toEqual([]);
  });

  it.each([1002, 1003, 1011, 4000])('is one report on two in a row: %i', async (code) => {
    const text = `the peer closed with ${code} after the question`;
    expect(await ends([code, code, code, code])).toEqual([expect.stringContaining(text)]);
    expect(await ends([code, code], true)).toEqual([]);
  });

  it.each(
    [...QUIET, ...BLAMED].flatMap((code) => [
      [code, false],
      [code, true],
    ]) as [number, boolean][],
  )('is blamed on the question only if it may be: %i, answered %s', async (code, answered) => {
    const { WebSocket, sockets } = socketClass();
    const dialing = dial('ws://h', { WebSocket, alive: { ask: () => 'own' } });
    const socket = await openAt(sockets, 0);
    const conn = await dialing;
    await pass(25_000);
    if (answered) {
      socket.message('yes');
      await conn.readMessage();
      await pass(25_000);
    }
    const reading = conn.readMessage().then(() => '', String);
    socket.end(code, '', code !== 1006);
    const isBlamed = BLAMED.includes(code) && !answered;
    expect((await reading).includes('after a question of the option alive')).toBe(isBlamed);
  });
});
