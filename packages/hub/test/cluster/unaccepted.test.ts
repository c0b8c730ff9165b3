import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { closeUnaccepted } from '../../src/cluster/unaccepted.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

/** A worker that gets three connections, and answers the second one. */
function startWorker() {
  const sent: unknown[][] = [];
  const child = Object.assign(new EventEmitter(), {
    connected: true,
    send: (...args: unknown[]): boolean => sent.push(args) > 0,
  });
  closeUnaccepted(child as unknown as ChildProcess);
  const closed: number[] = [];
  const handles = [1, 2, 3, 4].map((seq) => ({ close: () => void closed.push(seq) }));
  for (const seq of [1, 2, 3]) {
    expect(child.send({ cmd: 'NODE_CLUSTER', act: 'newconn', seq }, handles[seq - 1])).toBe(true);
  }
  child.send({ cmd: 'NODE_CLUSTER', act: 'other', seq: 4 }, handles[3]);
  child.send('of the application', undefined, undefined, closed.push);
  child.send(null);
  child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack: 2, accepted: true });
  child.emit('internalMessage', { cmd: 'NODE_HANDLE_ACK' });
  expect(sent).toHaveLength(6);
  expect(sent[4]).toEqual(['of the application', undefined, undefined, closed.push]);
  return { child, closed };
}

describe('B6-5 the connections that a dead worker has not answered', () => {
  it('are closed when the channel to it has ended', () => {
    const { child, closed } = startWorker();
    child.emit('exit');
    vi.advanceTimersByTime(1_000);
    // An answer may still arrive.
    child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack: 3, accepted: true });
    expect(closed).toEqual([]);
    child.connected = false;
    child.emit('disconnect');
    expect(closed).toEqual([1]);
    vi.advanceTimersByTime(1_000);
    expect(closed).toEqual([1]);
  });

  it('are closed when Node emits no `disconnect`, which the broker of the hubs then gets', () => {
    const { child, closed } = startWorker();
    const disconnected = vi.fn();
    child.on('disconnect', disconnected);
    child.connected = false;
    child.emit('exit');
    expect(closed).toEqual([]);
    vi.advanceTimersByTime(100);
    expect(closed).toEqual([1, 3]);
    vi.advanceTimersByTime(1_000);
    expect(disconnected).toHaveBeenCalledTimes(1);
  });
});
