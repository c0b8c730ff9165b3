// Sends a file, and prints how far it is: npm run client -- ws://127.0.0.1:8080 film.mp4
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import process from 'node:process';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BinaryMessage, dial } from '@ws/node-client';

const [url = '', path = ''] = process.argv.slice(2);
try {
  const { size } = await stat(path);
  const { conn } = await dial(url);
  const writer = await conn.nextWriter(BinaryMessage);
  // A megabyte at a time: large fragments cost less than many small ones.
  const file = createReadStream(path, { highWaterMark: 1024 ** 2 });
  const sending = pipeline(file, Writable.fromWeb(writer.writable()));
  // What ends the connection ends both; the reader says why.
  sending.catch(() => {});
  for (;;) {
    const { received, name } = await conn.readJSON<{ received: number; name?: string }>();
    const percent = size === 0 ? 100 : Math.floor((received / size) * 100);
    process.stdout.write(process.stdout.isTTY ? `\r${percent} %` : `${percent} %\n`);
    if (name === undefined) continue;
    console.log(`${process.stdout.isTTY ? '\n' : ''}stored as ${name}`);
    break;
  }
  await sending;
  await conn.close();
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
