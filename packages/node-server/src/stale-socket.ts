import { randomBytes } from 'node:crypto';
import { link, lstat, rename, unlink } from 'node:fs/promises';
import { connect } from 'node:net';

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
 * @returns Whether the path is free, so that listening again may succeed.
 * @throws (rejects with) the error of the file system, for a folder without write access for example.
 */
export async function removeStaleSocket(path: string): Promise<boolean> {
  const stale = await socketFile(path);
  if (stale === undefined) return false;
  if (!(await refuses(path))) return false;
  // Renamed before it is removed: the name may belong to a server that started meanwhile.
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch (error) {
    // Another start has removed it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  const moved = await socketFile(aside);
  // Asked again: a server that had only bound its socket listens by now.
  const isStale = moved !== undefined && isSame(moved, stale) && (await refuses(aside));
  if (!isStale) await putBack(aside, path);
  await unlink(aside);
  return isStale;
}

/** Undefined when there is no such file, or when it is no socket. */
async function socketFile(path: string): Promise<FileId | undefined> {
  try {
    const stats = await lstat(path, { bigint: true });
    return stats.isSocket() ? stats : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isSame(one: FileId, other: FileId): boolean {
  return one.dev === other.dev && one.ino === other.ino && one.mtimeNs === other.mtimeNs;
}

/** Whether no process listens on the socket. */
function refuses(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
  });
}

/** Gives a file its name back, unless the name is in use again. */
async function putBack(aside: string, path: string): Promise<void> {
  try {
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
