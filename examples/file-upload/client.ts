// Sends a file and prints the progress: npm run client -- ws://127.0.0.1:8080 film.mp4
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import process from 'node:process';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BinaryMessage, type Conn, dial } from '@ws/node-client';

const [url = '', path = ''] = process.argv.slice(2);
try {
  const info = await stat(path);
  if (!info.isFile()) throw new Error(`${path} is not a file`);
  const conn = await dial(url);
  await Promise.all([send(conn, path), progress(conn, info.size)]);
  await conn.close();
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}

async function send(conn: Conn, path: string): Promise<void> {
  const writer = await conn.nextWriter(BinaryMessage);
  // Large fragments cost less than many small ones.
  const file = createReadStream(path, { highWaterMark: 1024 ** 2 });
  try {
    await pipeline(file, Writable.fromWeb(writer.writable()));
  } catch (error) {
    // If the file cannot be read, end the connection: the server waits for the rest. The reader
    // reports any other reason.
    if (file.errored === null) return;
    conn.terminate();
    throw error;
  }
}

async function progress(conn: Conn, size: number): Promise<void> {
  for (;;) {
    const { received, name } = await conn.readJSON<{ received: number; name?: string }>();
    const percent = size === 0 ? 100 : Math.floor((received / size) * 100);
    process.stdout.write(process.stdout.isTTY ? `\r${percent} %` : `${percent} %\n`);
    if (name === undefined) continue;
    console.log(`${process.stdout.isTTY ? '\n' : ''}stored as ${name}`);
    return;
  }
}
