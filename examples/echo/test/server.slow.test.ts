import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { dial } from '@ws/node-client';
import {
  type Example,
  endsWithSilentClient,
  rejectsWrongPort,
  startExample,
} from '@ws/tests/examples';
import { LOADER } from '@ws/tests/loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const folder = join(import.meta.dirname, '..');

describe('examples/echo', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('echo')));
  afterAll(() => example?.stop());

  /** Output of the client, run as in the README. */
  function client(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, [...LOADER, 'client.ts', ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
  }

  it('sends texts and bytes back', async () => {
    const conn = await dial(example.ws);
    await conn.send('grüße');
    expect((await conn.readMessage()).text()).toBe('grüße');
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i);
    await conn.send(bytes);
    expect((await conn.readMessage()).data).toEqual(bytes);
    await conn.close();
  });

  it('has a client that prints the answers', () => {
    expect(client(example.ws, 'hello', 'world')).toMatchObject({
      status: 0,
      stdout: 'hello\nworld\n',
    });
  });

  it('has a client that reports a failed connection', () => {
    const { status, stderr } = client('not a url', 'hello');
    expect(status).toBe(1);
    expect(stderr).toMatch(/SyntaxError/);
  });

  rejectsWrongPort('echo');

  endsWithSilentClient(
    () => startExample('echo'),
    async ({ ws }) => dial(ws),
  );
});
