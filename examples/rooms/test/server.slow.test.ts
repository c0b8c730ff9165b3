import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { dial } from '@ws/node-client';
import { type Example, endsWithSilentClient, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('examples/rooms', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('rooms')));
  afterAll(() => example?.stop());

  it('has at most 13 lines of code', () => {
    const source = readFileSync(join(import.meta.dirname, '../server.ts'), 'utf8');
    const lines = source.split('\n').filter((line) => line !== '' && !line.startsWith('//'));
    expect(lines.length).toBeLessThanOrEqual(13);
  });

  it('sends a message to the others of the room', async () => {
    const [ada, grace, other] = await Promise.all(
      ['/garden', '/garden', '/kitchen'].map((path) => dial(example.ws + path)),
    );
    await ada!.send('hello');
    await other!.send('not for the garden');
    expect((await grace!.readMessage()).text()).toBe('hello');
    await grace!.send(Uint8Array.of(1, 2, 3));
    expect((await ada!.readMessage()).data).toEqual(Uint8Array.of(1, 2, 3));
    for (const conn of [ada!, grace!, other!]) await conn.close();
  });

  it.each([
    ['/r?token=1', '/r?token=2'],
    [`/${'x'.repeat(300)}`, `/${'x'.repeat(300)}`],
  ])('takes the path up to 128 characters, without the query', async (one, two) => {
    const [ada, grace] = [await dial(example.ws + one), await dial(example.ws + two)];
    await grace.send('hello');
    expect((await ada.readMessage()).text()).toBe('hello');
    for (const conn of [ada, grace]) await conn.close();
  });

  it('opens a room for a path with bytes beyond ASCII, if Node accepts it', async () => {
    const { hostname, port } = new URL(example.ws);
    const socket = connect(Number(port), hostname);
    const lines = ['Host: a', 'Connection: Upgrade', 'Upgrade: websocket'];
    lines.push('Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==');
    const close = '\x88\x82\0\0\0\0\x03\xe8';
    const request = [`GET /${'\xe9'.repeat(300)} HTTP/1.1`, ...lines, '', close].join('\r\n');
    socket.write(request, 'latin1');
    const [head, rest] = Buffer.concat(await socket.toArray())
      .toString('latin1')
      .split('\r\n\r\n');
    const refused = 'not an HTTP request: Invalid char in url path\n';
    expect(rest).toBe(head!.startsWith('HTTP/1.1 101') ? '\x88\x02\x03\xe8' : refused);
  });

  endsWithSilentClient(
    () => startExample('rooms'),
    async ({ ws }) => dial(ws),
  );
});
