import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dial, ReconnectingConn } from '@ws/node-client';
import { roomsOf } from '@ws/rpc/rooms';
import { type Browser, lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { type Example, endsWithSilentClient, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { notes } from '../client.ts';

interface State {
  readonly version: number;
  readonly notes: readonly [string, string][];
}

describe('examples/board', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('board')));
  afterAll(() => example?.stop());

  it('has at most 80 lines', () => {
    const files = ['server.ts', 'client.ts', 'page.html'];
    const text = files.map((file) => readFileSync(join(import.meta.dirname, '..', file), 'utf8'));
    expect(text.join('').trimEnd().split('\n').length).toBeLessThanOrEqual(80);
  });

  it('gives the state, then each change with its version, a delete too', async () => {
    const live = new ReconnectingConn(example.ws);
    const rooms = roomsOf(live, { contract: notes });
    const loop = rooms.join('board');
    const { value: first } = await loop.next();
    const { version } = first?.kind === 'state' ? (first.data as State) : { version: -1 };
    expect(version).toBeGreaterThanOrEqual(0);
    expect((await loop.next()).value).toEqual({ kind: 'live' });
    await rooms.peer.set({ id: 'a', text: 'one' });
    await rooms.peer.set({ id: 'b', text: 'two' });
    await rooms.peer.remove('a');
    const changes: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const { value } = await loop.next();
      changes.push(value?.kind === 'message' && value.data);
    }
    expect(changes).toEqual([
      { version: version + 1, id: 'a', text: 'one' },
      { version: version + 2, id: 'b', text: 'two' },
      { version: version + 3, id: 'a' },
    ]);
    const late = new ReconnectingConn(example.ws);
    const { value } = await roomsOf(late).join('board').next();
    const state = { version: version + 3, notes: [['b', 'two']] };
    expect(value).toMatchObject({ kind: 'state', data: state });
    await rooms.peer.remove('b');
    await expect(rooms.peer.set({ id: 'no id', text: '' })).rejects.toMatchObject({
      code: -32_602,
    });
    await live.close();
    await late.close();
  });

  describe.skipIf(lacksChromium())('in a browser', () => {
    let browser: Browser;
    beforeAll(async () => void (browser = await launchHeadlessShell()));
    afterAll(() => browser?.close());

    it('shows the notes of another page, and removes them', async () => {
      const [one, two] = [await browser.newPage(), await browser.newPage()];
      for (const page of [one, two]) await page.goto(`${example.url}/`);
      await one.fill('input', 'buy milk');
      await one.click('button');
      await two.getByText('buy milk').click();
      await one.waitForFunction(`document.querySelectorAll('li').length === 0`);
      for (const page of [one, two]) await page.close();
    });
  });

  endsWithSilentClient(
    () => startExample('board'),
    async ({ ws }) => dial(ws),
  );
});
