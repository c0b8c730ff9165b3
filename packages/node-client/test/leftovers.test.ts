import { nodePlatform } from '@ws/node-io';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { DialScope } from '../src/dial-scope.ts';
import { TimeoutError } from '../src/index.ts';
import { inVain, stopTime } from './leftovers.ts';
import { rawServer } from './servers.ts';

describe('N21 a dial that fails', () => {
  it('leaves no timer, whatever other connections of the worker set meanwhile', async () => {
    stopTime();
    const server = await rawServer(() => {
      onTestFinished(nodePlatform.setTimer(60_000, () => {}));
      vi.advanceTimersByTime(150);
    });
    const error = await inVain(server.url, { handshakeTimeout: 150 });
    expect(error).toBeInstanceOf(TimeoutError);
    expect(vi.getTimerCount()).toBe(1);
  });

  it('fails its test when it leaves a timer', async () => {
    stopTime();
    const server = await rawServer((socket) => void socket.destroy());
    vi.spyOn(DialScope.prototype, 'stop').mockImplementation(() => {});
    onTestFinished(() => void vi.restoreAllMocks());
    await expect(inVain(server.url, { handshakeTimeout: 150 })).rejects.toThrow(
      'expected [ Array(1) ] to deeply equal []',
    );
  });
});
