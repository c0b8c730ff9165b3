import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleForPage, ROOMS_PROGRAM } from '../kit/page-context.ts';
import { LACKED, runRooms, serveRoomsForPage } from './rooms.ts';

describe('B6-1 calls, a stream and rooms over two breaks, in a page', () => {
  let text: string;
  let server: Awaited<ReturnType<typeof serveRoomsForPage>>;

  beforeAll(async () => {
    text = await bundleForPage(ROOMS_PROGRAM, '@ws/source');
    server = await serveRoomsForPage();
  });
  afterAll(() => server.close());

  it('run with what a page of today has', async () => {
    await expect(runRooms(text, server.url, [])).resolves.toBeUndefined();
  });

  it.each(LACKED)('run without %s', async (name) => {
    await expect(runRooms(text, server.url, [name])).resolves.toBeUndefined();
  });

  it('run without all of it', async () => {
    await expect(runRooms(text, server.url, LACKED)).resolves.toBeUndefined();
  });
});
