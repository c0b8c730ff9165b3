// Stores files. Each file is one message, written to the disk as it arrives.
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BinaryMessage, CloseCode, type Conn, type MessageReader, serve } from '@ws/node-server';

/** Bytes of one file. A larger file ends its connection with 1009. */
const LARGEST = bound('LARGEST', 1024 ** 3);
/** Number of files in the folder. One more ends its connection with 1013. */
const MAX_FILES = bound('MAX_FILES', 1_000);
/** Bytes of all files in the folder. More end the connection with 1013. */
const MAX_DISK = bound('MAX_DISK', 10 * 1024 ** 3);
/** The end of the name of a file that is not complete. */
const PART = '.part';
/** Bytes between two progress messages. */
const STEP = 1024 ** 2;

const { FOLDER, PORT = '0' } = process.env;
const folder = FOLDER ?? (await mkdtemp(join(tmpdir(), 'uploads-')));
await mkdir(folder, { recursive: true });
let files = 0;
let stored = 0;
for (const name of await readdir(folder)) {
  if (name.endsWith(PART)) {
    // The server was killed meanwhile.
    await rm(join(folder, name));
    continue;
  }
  files++;
  stored += (await stat(join(folder, name))).size;
}

const server = await serve(
  { port: Number(PORT), host: '127.0.0.1', readLimit: LARGEST },
  async (conn) => {
    for (;;) {
      const reader = await conn.nextReader().catch(() => undefined);
      // The connection has ended.
      if (reader === undefined) return;
      if (reader.type !== BinaryMessage) {
        await conn.close(CloseCode.UnsupportedData, 'files are binary');
        return;
      }
      await store(conn, reader);
    }
  },
).catch(async (error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  await removeDefaultFolder();
  process.exit(1);
});

/** The folder has no room for the file. */
class QuotaError extends Error {}

async function store(conn: Conn, reader: MessageReader): Promise<void> {
  if (files >= MAX_FILES) return refuse(conn);
  files++;
  // The server chooses the name: one from the client could be ../../etc/passwd.
  const name = randomUUID();
  const path = join(folder, name);
  let received = 0;
  let reported = 0;
  const progress = new Transform({
    transform(chunk: Uint8Array, _, done) {
      received += chunk.length;
      stored += chunk.length;
      if (stored > MAX_DISK) return done(new QuotaError());
      if (received - reported >= STEP) {
        reported = received;
        void conn.writeJSON({ received });
      }
      done(null, chunk);
    },
  });
  try {
    // Backpressure: a slow disk slows the client down.
    await pipeline(
      Readable.fromWeb(reader.readable()),
      progress,
      createWriteStream(path + PART, { flags: 'wx', mode: 0o600 }),
    );
    await rename(path + PART, path);
    await conn.writeJSON({ received, name });
  } catch (error) {
    // The client may have left before it was told the name.
    for (const each of [path + PART, path]) await rm(each, { force: true });
    files--;
    stored -= received;
    if (error instanceof QuotaError) return refuse(conn);
    if (conn.state === 'open') throw error;
  }
}

async function refuse(conn: Conn): Promise<void> {
  await conn.close(CloseCode.TryAgainLater, 'no room for this file');
}

function bound(name: string, otherwise: number): number {
  const text = process.env[name];
  const value = Number(text ?? otherwise);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  console.error(`${name}: expected a whole number from 1 on, got ${JSON.stringify(text)}`);
  process.exit(1);
}

async function removeDefaultFolder(): Promise<void> {
  if (FOLDER === undefined) await rm(folder, { recursive: true, force: true });
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close().then(removeDefaultFolder));
}
console.log(server.url);
