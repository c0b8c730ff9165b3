import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { nothingLeft, rawClient, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { rawTarget } from './support.ts';

const MIB = 1024 * 1024;
/** Size of the message and bytes a second of its reader; `pnpm long proxy` runs it whole. */
const SIZE = Number(process.env['PROXY_MIB'] ?? 1024) * MIB;
const RATE = Number(process.env['PROXY_RATE'] ?? 16) * MIB;
const PIECE = Buffer.alloc(MIB, 7);

/** Starts a proxy in a process of its own, which tells its memory when asked. */
async function startProxy(
  target: string,
  mode: string,
): Promise<{ child: ChildProcess; port: number }> {
  const file = fileURLToPath(new URL('proxy-process.ts', import.meta.url));
  const execArgv = ['--conditions=@ws/source', '--import', 'tsx'];
  const child = fork(file, [target, mode], { execArgv });
  whenOver(() => child.kill('SIGKILL'));
  const [port] = (await once(child, 'message')) as [number];
  return { child, port };
}

async function memoryOf(child: ChildProcess): Promise<number> {
  child.send('memory');
  const [rss] = (await once(child, 'message')) as [number];
  return rss;
}

describe.each(['frames', 'bytes', 'messages'])(
  'a message of 1 GiB past a slow reader, mode %s',
  (mode) => {
    nothingLeft();

    it('adds at most 8 MiB to the memory of the proxy', { timeout: 3_000_000 }, async () => {
      const backend = await rawTarget();
      const { child, port } = await startProxy(backend.url, mode);
      const pass = async (size: number, rate: number): Promise<number> => {
        const client = await rawClient(port);
        await client.upgrade();
        const target = await backend.next();
        client.discard();
        let read = 0;
        let most = 0;
        client.stream.pause();
        client.stream.on('data', ({ length }: Buffer) => void (read += length));
        const head = Buffer.alloc(10);
        head[0] = 0x82;
        head[1] = 127;
        head.writeBigUInt64BE(BigInt(size), 2);
        const writing = (async () => {
          await target.write(head);
          for (let sent = 0; sent < size; sent += MIB) await target.write(PIECE);
        })();
        // Each tenth of a second the reader takes its share, then stops.
        for (let allowed = rate / 10; read < size; allowed += rate / 10) {
          client.stream.resume();
          while (read < Math.min(allowed, size)) await once(client.stream, 'data');
          client.stream.pause();
          most = Math.max(most, await memoryOf(child));
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        await writing;
        client.destroy();
        target.destroy();
        return most;
      };
      // After these the code is compiled, and the heap has the size that V8 gives it.
      await pass(64 * MIB, 1024 * MIB);
      await pass(64 * MIB, RATE);
      const before = await memoryOf(child);
      const most = await pass(SIZE, RATE);
      console.log(
        `${mode}: ${((most - before) / MIB).toFixed(1)} MiB more than ${(before / MIB).toFixed(1)}`,
      );
      expect(most - before).toBeLessThanOrEqual(8 * MIB);
    });
  },
);
