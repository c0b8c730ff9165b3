import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { dial } from '@ws/node-client';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ServeOptions, serve, type WsServer } from '../src/index.ts';
import { serveRaw } from '../src/raw/index.ts';
import { lockOf, removeStaleSocket } from '../src/stale-socket.ts';
import { leaveSocket } from './left-socket.ts';

const folder = mkdtempSync(join(tmpdir(), 'stale-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const newPath = (): string => join(folder, `${++files}.sock`);

async function hello(server: WsServer): Promise<string> {
  const conn = await dial(server.url);
  const text = (await conn.readMessage()).text();
  await conn.close();
  return text;
}

const greet = (text: string) => (conn: { send(text: string): unknown }) => void conn.send(text);

async function failure(options: ServeOptions): Promise<NodeJS.ErrnoException> {
  const server = serve(options, () => {});
  return server.then(
    (running) => running.close().then(() => expect.fail('it listens')),
    (error: unknown) => error as NodeJS.ErrnoException,
  );
}

describe('285 a stale Unix socket', () => {
  it('is EADDRINUSE by default, and the words blame no process', async () => {
    const socketPath = newPath();
    await leaveSocket(socketPath);
    const error = await failure({ socketPath });
    expect(error.code).toBe('EADDRINUSE');
    expect(error.message).toContain(
      `socketPath: ${socketPath} is in use, or a process left it when it ended; set replaceStale: true`,
    );
    expect(error.message).not.toContain('end the process');
    expect(lstatSync(socketPath).isSocket()).toBe(true);
  });

  it.each([
    ['socketPath', (socketPath: string) => ({ socketPath })],
    ['listen.path', (path: string) => ({ listen: { path } })],
  ])('is replaced with replaceStale, by %s', async (_, address) => {
    const path = newPath();
    await leaveSocket(path);
    const server = await serve({ ...address(path), replaceStale: true }, greet('new'));
    expect(await hello(server)).toBe('new');
    await server.close();
    expect(existsSync(path)).toBe(false);
  });

  it.each([1, 94, 107])('is replaced at a path of %i bytes', async (length) => {
    // A short one is relative.
    const socketPath = length === 1 ? 's' : join(folder, 'x'.repeat(length - folder.length - 1));
    onTestFinished(() => rmSync(socketPath, { force: true }));
    const left = newPath();
    await leaveSocket(left);
    renameSync(left, socketPath);
    const server = await serve({ socketPath, replaceStale: true }, greet('new'));
    expect(await hello(server)).toBe('new');
    await server.close();
  });

  it.runIf(process.platform === 'linux')('has no file in the abstract namespace', async () => {
    const socketPath = `\0${newPath()}`;
    const server = await serve({ socketPath, replaceStale: true }, greet('abstract'));
    expect((await failure({ socketPath, replaceStale: true })).code).toBe('EADDRINUSE');
    await server.close();
  });

  it('is replaced when it was left just now', async () => {
    const socketPath = newPath();
    await leaveSocket(socketPath);
    utimesSync(socketPath, new Date(), new Date());
    const server = await serve({ socketPath, replaceStale: true }, greet('new'));
    expect(await hello(server)).toBe('new');
    await server.close();
  });

  it('is none when its server listens after the first look', async () => {
    const socketPath = newPath();
    await leaveSocket(socketPath);
    utimesSync(socketPath, new Date(), new Date());
    const start = failure({ socketPath, replaceStale: true });
    // As a server that had bound its socket, and now listens.
    const bound = createServer().listen(`${socketPath}.bound`);
    await once(bound, 'listening');
    onTestFinished(() => void bound.close());
    renameSync(`${socketPath}.bound`, socketPath);
    expect((await start).code).toBe('EADDRINUSE');
    expect(lstatSync(socketPath).isSocket()).toBe(true);
  });

  it('is replaced by serveRaw too', async () => {
    const socketPath = newPath();
    await leaveSocket(socketPath);
    const server = await serveRaw({ socketPath, replaceStale: true }, greet('raw'));
    expect(server.url).toContain(socketPath);
    await server.close();
  });

  it('is no stale one while a server listens', async () => {
    const socketPath = newPath();
    const first = await serve({ socketPath, replaceStale: true }, greet('first'));
    const { ino } = lstatSync(socketPath);
    const error = await failure({ socketPath, replaceStale: true });
    expect(error.code).toBe('EADDRINUSE');
    expect(error.message).toContain(`socketPath: ${socketPath} is in use, or no socket`);
    expect(lstatSync(socketPath).ino).toBe(ino);
    expect(await hello(first)).toBe('first');
    await first.close();
  });

  it.each([
    ['a file', (path: string) => writeFileSync(path, 'precious')],
    ['an empty file', (path: string) => writeFileSync(path, '')],
    ['a link to a stale socket', (path: string) => symlinkSync(`${path}.other`, path)],
  ])('is not %s: it is not touched', async (_, make) => {
    const socketPath = newPath();
    await leaveSocket(`${socketPath}.other`);
    make(socketPath);
    const before = lstatSync(socketPath, { bigint: true });
    expect((await failure({ socketPath, replaceStale: true })).code).toBe('EADDRINUSE');
    const after = lstatSync(socketPath, { bigint: true });
    expect([after.ino, after.mtimeNs, after.size]).toEqual([
      before.ino,
      before.mtimeNs,
      before.size,
    ]);
    if (before.isFile()) expect(readFileSync(socketPath, 'utf8')).toHaveLength(Number(before.size));
    expect(lstatSync(`${socketPath}.other`).isSocket()).toBe(true);
  });

  it('needs a path', async () => {
    await expect(serve({ port: 0, replaceStale: true }, () => {})).rejects.toThrow(
      'replaceStale: it is for a Unix socket; set socketPath',
    );
    await expect(serve({ replaceStale: 1 } as never, () => {})).rejects.toThrow(
      'replaceStale: expected a boolean, got number',
    );
  });

  it.runIf(process.platform === 'linux')('is replaced by one start at a time', async () => {
    const socketPath = newPath();
    await leaveSocket(socketPath);
    const lock = await lockOf(socketPath);
    let isRemoved = false;
    const removed = removeStaleSocket(socketPath).then(() => (isRemoved = true));
    // The other start has looked at the file, and has asked for the lock.
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    expect([isRemoved, existsSync(socketPath)]).toEqual([false, true]);
    lock!.close();
    await removed;
    expect(existsSync(socketPath)).toBe(false);
  });

  it('gives the file back to a server that started meanwhile', async () => {
    const socketPath = newPath();
    await leaveSocket(socketPath);
    // Both look at the same file; one of them has replaced it when the other renames it.
    const results = await Promise.all([
      removeStaleSocket(socketPath),
      serve({ socketPath, replaceStale: true }, greet('meanwhile')).catch(() => undefined),
    ]);
    const server =
      results[1] ?? (await serve({ socketPath, replaceStale: true }, greet('meanwhile')));
    expect(await hello(server)).toBe('meanwhile');
    await server.close();
    expect(readdirSync(folder).filter((name) => !name.includes('.sock'))).toEqual([]);
  });
});

describe('285 two starts at once over a stale Unix socket', () => {
  it('are one server and one EADDRINUSE in one process, a hundred times', async () => {
    for (let i = 0; i < 100; i++) {
      const socketPath = newPath();
      await leaveSocket(socketPath);
      const starts = ['a', 'b'].map((name) =>
        serve({ socketPath, replaceStale: true }, greet(name)),
      );
      const results = await Promise.allSettled(starts);
      const codes = results.map((result) =>
        result.status === 'fulfilled'
          ? 'listens'
          : String((result.reason as NodeJS.ErrnoException).code),
      );
      expect(codes.toSorted((a, b) => a.localeCompare(b))).toEqual(['EADDRINUSE', 'listens']);
      const index = codes.indexOf('listens');
      const server = (results[index] as PromiseFulfilledResult<WsServer>).value;
      expect(await hello(server)).toBe('ab'[index]);
      await server.close();
    }
  });
});
