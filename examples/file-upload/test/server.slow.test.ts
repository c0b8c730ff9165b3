import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { BinaryMessage, dial, isCloseError } from '@ws/node-client';
import {
  type Example,
  endsWithSilentClient,
  limitFileSize,
  rejectsWrongPort,
  startExample,
} from '@ws/tests/examples';
import { LOADER } from '@ws/tests/loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const LARGEST = 20_000_000;

describe('examples/file-upload', () => {
  let scratch: string;
  let folder: string;
  let example: Example;
  const start = (): Promise<Example> =>
    startExample('file-upload', { FOLDER: folder, LARGEST: String(LARGEST) });

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'upload '));
    folder = join(scratch, 'stored');
    example = await start();
  });
  afterAll(async () => {
    await example?.stop();
    await rm(scratch, { recursive: true });
  });

  const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

  async function runClient(path: string): Promise<{ code: number; out: string; err: string }> {
    const client = spawn(process.execPath, [...LOADER, 'client.ts', example.ws, path], {
      cwd: join(import.meta.dirname, '..'),
    });
    const [out, err, [code]] = await Promise.all([
      text(client.stdout),
      text(client.stderr),
      once(client, 'exit'),
    ]);
    return { code, out, err };
  }

  it('stores the file of its client, and reports progress', async () => {
    const file = join(scratch, 'film');
    const content = randomBytes(5_000_000);
    await writeFile(file, content);
    const { code, out, err } = await runClient(file);
    expect(code, err).toBe(0);
    const steps = [...out.matchAll(/(\d+) %/g)].map(([, percent]) => Number(percent));
    expect(steps.length).toBeGreaterThan(2);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(steps.at(-1)).toBe(100);
    const [, name] = /stored as (\S+)/.exec(out)!;
    expect(sha(await readFile(join(folder, name!)))).toBe(sha(content));
  });

  it('has a client that reports a folder, an unreadable file and a refusal', async () => {
    const large = join(scratch, 'large');
    await writeFile(large, new Uint8Array(LARGEST + 1));
    for (const [path, why] of [
      [scratch, /is not a file/],
      [join(scratch, 'none'), /ENOENT/],
      // A file whose first page is not mapped.
      ...(process.platform === 'linux' ? ([['/proc/self/mem', /EIO/]] as const) : []),
      [large, /1009/],
    ] as const) {
      const { code, err } = await runClient(path);
      expect(err).toMatch(why);
      expect(code).toBe(1);
    }
  });

  it('stores several files of one connection, an empty one too', async () => {
    const conn = await dial(example.ws);
    for (const content of [randomBytes(100), new Uint8Array(0), randomBytes(70_000)]) {
      await conn.writeMessage(BinaryMessage, content);
      const { name, received } = await conn.readJSON<{ name: string; received: number }>();
      expect(received).toBe(content.length);
      expect(sha(await readFile(join(folder, name)))).toBe(sha(content));
    }
    await conn.close();
  });

  it('refuses a file above LARGEST, and deletes it', async () => {
    const before = await readdir(folder);
    const conn = await dial(example.ws);
    void conn.discardReads().catch(() => {});
    const writer = await conn.nextWriter(BinaryMessage);
    await writer.write(new Uint8Array(LARGEST));
    // The excess byte, with no byte after it that could reset the connection.
    await writer.write(new Uint8Array(1));
    await writer.close().catch(() => {});
    expect((await conn.closed).code).toBe(1009);
    await expect.poll(() => readdir(folder)).toEqual(before);
  });

  it('deletes the partial file of a client that disconnects', async () => {
    const before = await readdir(folder);
    const conn = await dial(example.ws);
    const writer = await conn.nextWriter(BinaryMessage);
    await writer.write(new Uint8Array(3_000_000));
    await conn.readJSON();
    conn.terminate();
    await expect.poll(() => readdir(folder)).toEqual(before);
  });

  it('deletes the partial file of a server that was killed, when it starts again', async () => {
    const own = join(scratch, 'killed');
    const killed = await startExample('file-upload', { FOLDER: own });
    const conn = await dial(killed.ws);
    const writer = await conn.nextWriter(BinaryMessage);
    await writer.write(new Uint8Array(3_000_000));
    await conn.readJSON();
    await killed.stop('SIGKILL');
    expect(await readdir(own)).toHaveLength(1);
    const again = await startExample('file-upload', { FOLDER: own });
    expect(await readdir(own)).toEqual([]);
    await again.stop();
  });

  it.runIf(process.platform === 'linux')(
    'confirms no file that a full disk has cut, and deletes it',
    async () => {
      const own = join(scratch, 'full');
      const full = await startExample('file-upload', { FOLDER: own, MAX_FILES: '1' });
      limitFileSize(full.pid, 10_000);
      const conn = await dial(full.ws);
      await conn.writeMessage(BinaryMessage, randomBytes(100_000)).catch(() => {});
      const error = await conn.readJSON().catch((reason: unknown) => reason);
      expect(isCloseError(error, 1011)).toBe(true);
      expect(await readdir(own)).toEqual([]);
      limitFileSize(full.pid, 'unlimited');
      const next = await dial(full.ws);
      await next.writeMessage(BinaryMessage, randomBytes(100_000));
      expect(await next.readJSON()).toMatchObject({ received: 100_000 });
      await next.close();
      await full.stop();
    },
  );

  it('refuses texts', async () => {
    const conn = await dial(example.ws);
    await conn.send('film.mp4');
    const error = await conn.readMessage().catch((reason: unknown) => reason);
    expect(isCloseError(error, 1003)).toBe(true);
  });

  it('refuses a file beyond MAX_FILES, and counts the files that were there', async () => {
    const own = join(scratch, 'few');
    await mkdir(own);
    await writeFile(join(own, 'old'), 'old');
    const few = await startExample('file-upload', { FOLDER: own, MAX_FILES: '2' });
    const conn = await dial(few.ws);
    await conn.writeMessage(BinaryMessage, randomBytes(10));
    await conn.readJSON();
    await conn.writeMessage(BinaryMessage, randomBytes(10));
    const error = await conn.readMessage().catch((reason: unknown) => reason);
    expect(isCloseError(error, 1013)).toBe(true);
    expect(await few.stop()).toBe(0);
    expect(await readdir(own)).toHaveLength(2);
  });

  it('refuses bytes beyond MAX_DISK, deletes the file, and releases its bytes', async () => {
    const own = join(scratch, 'small');
    const small = await startExample('file-upload', { FOLDER: own, MAX_DISK: '1000' });
    const send = async (bytes: number): Promise<unknown> => {
      const conn = await dial(small.ws);
      await conn.writeMessage(BinaryMessage, randomBytes(bytes));
      const answer = await conn.readJSON().catch((reason: unknown) => reason);
      await conn.close();
      return answer;
    };
    expect(isCloseError(await send(1001), 1013)).toBe(true);
    expect(await readdir(own)).toEqual([]);
    expect(await send(1000)).toMatchObject({ received: 1000 });
    expect(isCloseError(await send(1), 1013)).toBe(true);
    expect(await small.stop()).toBe(0);
  });

  it('deletes its default folder at the end, and keeps a folder that FOLDER names', async () => {
    const own = join(scratch, 'temporary');
    await mkdir(own);
    const other = await startExample('file-upload', { TMPDIR: own });
    const uploads = async (): Promise<string[]> =>
      (await readdir(own)).filter((name) => name.startsWith('uploads-'));
    expect(await uploads()).toHaveLength(1);
    expect(await other.stop()).toBe(0);
    expect(await uploads()).toEqual([]);
    expect(await readdir(folder)).not.toEqual([]);
  });

  endsWithSilentClient(start, async ({ ws }) => dial(ws));

  rejectsWrongPort('file-upload');
});
