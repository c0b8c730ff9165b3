// Takes files: each is one message, written to the disk as it arrives.
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BinaryMessage, CloseCode, type Conn, type MessageReader, serve } from '@ws/node-server';

/** Bytes of a file; what is larger ends its connection with 1009. */
const LARGEST = Number(process.env['LARGEST'] ?? 1024 ** 3);
if (!Number.isSafeInteger(LARGEST) || LARGEST < 1) {
  console.error(
    `LARGEST: expected a number of bytes, got ${JSON.stringify(process.env['LARGEST'])}`,
  );
  process.exit(1);
}
/** How often a client is told how far it is, in bytes. */
const STEP = 1024 ** 2;
const folder = process.env['FOLDER'] ?? (await mkdtemp(join(tmpdir(), 'uploads-')));
await mkdir(folder, { recursive: true });

const server = await serve(
  { port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1', readLimit: LARGEST },
  async (conn) => {
    for (;;) {
      const reader = await conn.nextReader().catch(() => undefined);
      // The client is done, or gone.
      if (reader === undefined) return;
      if (reader.type !== BinaryMessage) {
        await conn.close(CloseCode.UnsupportedData, 'files are binary');
        return;
      }
      await store(conn, reader);
    }
  },
).catch((error: Error) => {
  // A port that is in use, or none: the reason is enough.
  console.error(String(error));
  process.exit(1);
});
console.log(server.url);

async function store(conn: Conn, reader: MessageReader): Promise<void> {
  // The name is ours: one from the client could be ../../etc/passwd.
  const name = randomUUID();
  const path = join(folder, name);
  let received = 0;
  let told = 0;
  const progress = new Transform({
    transform(chunk: Uint8Array, _, done) {
      received += chunk.length;
      if (received - told >= STEP) {
        told = received;
        void conn.writeJSON({ received });
      }
      done(null, chunk);
    },
  });
  try {
    // Backpressure goes all the way: a slow disk slows the client down.
    await pipeline(
      Readable.fromWeb(reader.readable()),
      progress,
      createWriteStream(path, { flags: 'wx', mode: 0o600 }),
    );
    await conn.writeJSON({ received, name });
  } catch (error) {
    await rm(path, { force: true });
    if (conn.state === 'open') throw error;
  }
}

// `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
