import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RunningApp } from '../../src/cluster/worker.ts';

describe('N7 the close of a worker', () => {
  it('is reported when it has settled while a connection is open', async () => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => print.mockRestore());
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [socket] = (await once(server, 'connection')) as [{ destroy(): void }];
    const app = new RunningApp();
    await app.start(() => ({ close: () => {} }));
    await app.close();
    expect(print).toHaveBeenCalledWith(
      expect.stringContaining('1 connections are open; let it await'),
    );
    print.mockClear();
    socket.destroy();
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
    const other = new RunningApp();
    await other.start(() => ({ close: async () => {} }));
    await other.close();
    expect(print).not.toHaveBeenCalled();
  });
});
