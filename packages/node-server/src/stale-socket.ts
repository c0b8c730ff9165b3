import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { resolve } from 'node:path';
import process from 'node:process';
import { setTimeout } from 'node:timers/promises';

/**
 * Ms after which a server that has bound its socket listens too, however busy the machine. A file of
 * that age also differs in its time from the next file, whatever the tick of the file system's clock.
 */
const YOUNG_MS = 1_000;

/** Attempts to get the lock, 10 ms apart. Then the start continues without it. */
const LOCK_RETRIES = 1_000;

/** What distinguishes a file from a later one of its name: systems use the number of an inode again. */
interface FileId {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
}

/**
 * Removes the file of a Unix socket whose process has ended. The file stays when a process listens
 * there, when it is no socket, and when another process replaces it meanwhile.
 *
 * @throws (rejects with) the error of the file system, for a folder without write access for example.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  // The system removes a name of Linux's abstract namespace with its process.
  if (path.startsWith('\0')) return;
  const lock = await lockOf(path);
  try {
    await replace(path);
  } finally {
    lock?.close();
  }
}

/**
 * Excludes other starts: without it, a start that the system suspends between two calls would rename
 * the file of the next one, and a third one would listen too. The lock is a socket in Linux's abstract
 * namespace, which ends with its process. Other systems have none.
 */
export async function lockOf(path: string): Promise<Server | undefined> {
  if (process.platform !== 'linux') return undefined;
  const name = createHash('sha256').update(resolve(path)).digest('hex');
  for (let i = 0; i < LOCK_RETRIES; i++) {
    // `exclusive`: the workers of a cluster would share it.
    const server = createServer()
      .unref()
      .listen({ path: `\0ws-${name}`, exclusive: true });
    try {
      await once(server, 'listening');
      return server;
    } catch {
      await setTimeout(10);
    }
  }
  return undefined;
}

async function replace(path: string): Promise<void> {
  const stale = socketFile(path);
  if (stale === undefined || !(await refuses(path))) return;
  if (Date.now() - Number(stale.mtimeNs / 1_000_000n) < YOUNG_MS) {
    await setTimeout(YOUNG_MS);
    if (!(await refuses(path))) return;
  }
  const aside = nameAside(path);
  // Another start may have replaced the file meanwhile. Nothing comes between these two calls: while
  // the file of a running server is aside, a third start would listen on its name.
  if (!isSame(socketFile(path), stale)) return;
  try {
    renameSync(path, aside);
  } catch (error) {
    // Another start has removed it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  // Asked again: another process may have replaced it between the two calls.
  if (isSame(socketFile(aside), stale) && (await refuses(aside))) unlinkSync(aside);
  else putBack(aside, path);
}

/** Returns an unused name in the same folder. It is short: the path of a socket has at most 107 bytes. */
function nameAside(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1) + randomBytes(6).toString('base64url');
}

/** Undefined when there is no such file, or when it is no socket. */
function socketFile(path: string): FileId | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stats?.isSocket() ? stats : undefined;
}

function isSame(one: FileId | undefined, other: FileId): boolean {
  return one?.dev === other.dev && one.ino === other.ino && one.mtimeNs === other.mtimeNs;
}

/** Whether no process listens on the socket. */
function refuses(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done(false);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => done(code === 'ECONNREFUSED'));
  });
}

/** Gives a file its name back, unless the name is in use again. */
function putBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch (error) {
    // Some file systems have no links, and Linux permits none to the socket of another user.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return renameSync(aside, path);
  }
  unlinkSync(aside);
}
