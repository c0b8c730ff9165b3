import { join } from 'node:path';
import { type ClientConn, dial } from '@ws/node-client';
import { naiveEncode } from '@ws/tests';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawSocket } from './raw-socket.ts';
import { DATES, lacksRuntime, type Running, type RuntimeName, start } from './runtimes.ts';

const FOLDER = join(import.meta.dirname, 'workers');
const RUNS = DATES.flatMap((date) =>
  (['Workers', 'Durable Object'] as const).map((name) => ({ name, date })),
);

let program: Running;
function runs(name: RuntimeName, date: string): void {
  beforeAll(async () => {
    program = await start(name, FOLDER, date);
  });
  afterAll(() => program?.stop());
}

const open = (path: string): Promise<ClientConn> =>
  dial(`ws://127.0.0.1:${program.port}${path}`, { heartbeat: false });
const text = async (conn: ClientConn): Promise<string> =>
  (await conn.readMessage({ timeout: 30_000 })).text();
const closeFrame = (code: number, reason = ''): Uint8Array =>
  Uint8Array.from([code >> 8, code & 255, ...Buffer.from(reason)]);

describe.skipIf(lacksRuntime('Workers')).each(RUNS)(
  'a close on $name of $date',
  ({ name, date }) => {
    runs(name, date);

    const ends = async (): Promise<unknown[]> =>
      (await fetch(`${program.url}/ends`)).json() as Promise<unknown[]>;

    it.each([
      [1000, ''],
      [1001, 'going'],
      [3000, 'thrée'],
      [4999, 'x'.repeat(123)],
    ])('by a client with %i is answered, and ends the connection', async (code, reason) => {
      const conn = await open('/echo');
      await conn.send('hello');
      expect(await text(conn)).toBe('hello');
      expect(await conn.close(code, reason)).toMatchObject({ code, wasClean: true });
      await expect.poll(ends).toContainEqual({ code, reason, wasClean: true });
    });

    it.each([[], [0x03, 0xe8], [0x0f, 0xa1]])(
      'of the bytes %j is answered once',
      async (...bytes) => {
        const raw = await RawSocket.open(program.port, '/echo');
        raw.send(8, Uint8Array.from(bytes.flat()));
        expect(await raw.until(() => raw.ended)).toBe(true);
        expect([raw.rest[0], raw.rest.length]).toEqual([0x88, 2 + raw.rest[1]!]);
      },
    );

    it('keeps messages that have come before', async () => {
      const conn = await open('/echo');
      for (let i = 0; i < 20; i++) void conn.send(String(i));
      void conn.close(4000);
      const texts: string[] = [];
      await conn.receive((message) => void texts.push(message.text())).catch(() => {});
      expect((await conn.closed).wasClean).toBe(true);
    });
  },
);

describe.skipIf(lacksRuntime('Workers')).each(RUNS)(
  'the address on $name of $date',
  ({ name, date }) => {
    runs(name, date);

    it('is that of the TCP connection, not that of the header of the client', async () => {
      const conn = await dial(`ws://127.0.0.1:${program.port}/address`, {
        headers: { 'CF-Connecting-IP': '6.6.6.6', 'X-Forwarded-For': '6.6.6.6' },
      });
      expect(await text(conn)).toBe('127.0.0.1');
      await conn.close();
    });

    it.skipIf(name === 'Workers')('is unknown for a client that is a Worker', async () => {
      expect(await (await fetch(`${program.url}/call-address`)).text()).toBe('undefined');
    });
  },
);

describe.skipIf(lacksRuntime('Workers')).each(DATES)('reports of a Worker of %s', (date) => {
  runs('Workers', date);

  const reports = async (): Promise<string[]> =>
    (await fetch(`${program.url}/reports`)).json() as Promise<string[]>;

  it('contain once that the Response of upgrade was not sent', async () => {
    for (const path of ['/forgotten', '/forgotten-reported', '/forgotten', '/forgotten-reported']) {
      const raw = await RawSocket.open(program.port, path);
      raw.destroy();
      expect(raw.status).toBe(200);
    }
    const ends = async (): Promise<unknown[]> =>
      (await fetch(`${program.url}/ends`)).json() as Promise<unknown[]>;
    await expect.poll(ends).toHaveLength(4);
    const unsent = 'the Response of upgrade() was not sent within 10 s';
    expect(await reports()).toEqual([expect.stringContaining(`fetch: ${unsent}`)]);
    expect(program.output().split(`TypeError: ${unsent}`)).toHaveLength(2);
  });

  it('contain once that upgradeWebSocket has no event onmessage', async () => {
    for (let i = 0; i < 2; i++) await (await open('/hono')).close();
    expect((await reports()).filter((each) => each.includes('onmessage'))).toEqual([
      expect.stringMatching(/^upgradeWebSocket: .*onMessage/),
    ]);
  });
});

describe.skipIf(lacksRuntime('Durable Object')).each(DATES)('a Durable Object of %s', (date) => {
  runs('Durable Object', date);

  describe.each(['/call', '/call-sleeper'])('called by a Worker on %s', (path) => {
    const call = async (name: string): Promise<string> =>
      (await fetch(`${program.url}${path}?name=${encodeURIComponent(name)}`)).text();

    it.each(['alone', 'host', 'own origin'])('is upgraded with the headers: %s', async (name) => {
      expect(await call(name)).toBe(path === '/call' ? 'echo' : 'open');
    });

    it.each([
      ['foreign origin', 403],
      ['without upgrade', 426],
      ['a part of the wire', 400],
    ])('is refused with the headers: %s', async (name, status) => {
      expect(await call(name)).toBe(`refused ${status}`);
    });
  });

  it('ends a connection whose Response was not returned', async () => {
    const raw = await RawSocket.open(program.port, '/dropped');
    raw.destroy();
    expect(raw.status).toBe(403);
    const ends = async (): Promise<unknown> => (await fetch(`${program.url}/ends`)).json();
    await expect
      .poll(ends)
      .toContainEqual(expect.objectContaining({ code: 1006, wasClean: false }));
  });

  it('keeps a connection to a client within itself', async () => {
    const got = (await (await fetch(`${program.url}/own-client`)).json()) as string[];
    expect(got).toEqual(['open', expect.stringContaining(' open')]);
  });

  it('awaits writes without a pause for each', async () => {
    const conn = await open('/writes');
    let bytes = 0;
    const reading = conn.receive((message) => {
      bytes += message.data.length;
    });
    await conn.send('go');
    await reading.catch(() => {});
    expect([bytes, (await conn.closed).code]).toEqual([200 * 64 * 1024, 4000]);
  });

  describe('that hibernates', () => {
    const enter = (name: string): Promise<RawSocket> =>
      RawSocket.open(program.port, `/sleeper?name=${encodeURIComponent(name)}`);
    const watch = async (): Promise<ClientConn> => {
      const conn = await open('/sleeper?name=watcher');
      expect(await text(conn)).toBe('open');
      return conn;
    };
    /** Checks that nothing else was said or has ended. */
    const nothingMore = async (watcher: ClientConn): Promise<void> => {
      await watcher.send('mark');
      expect(await text(watcher)).toBe('watcher said mark');
      await watcher.close();
    };

    it.each([
      ['a reserved bit', Uint8Array.of(0xf1, 0x80, 1, 2, 3, 4), 1002],
      ['an unknown opcode', Uint8Array.of(0x83, 0x80, 1, 2, 3, 4), 1002],
      ['garbage', new Uint8Array(1000).fill(0xff), 1002],
      ['more than Workers take', naiveEncode(2, new Uint8Array(33 * 2 ** 20), { mask: 1 }), 1009],
    ])('calls close once after %s', async (_, bytes, code) => {
      const watcher = await watch();
      const raw = await enter('rude');
      raw.socket.write(bytes);
      expect(await text(watcher)).toBe('rude left 1006 false');
      expect(await raw.closeCode()).toBe(code);
      raw.send(8, closeFrame(code));
      raw.socket.end();
      await raw.until(() => raw.ended, 2_000);
      raw.destroy();
      await nothingMore(watcher);
    });

    it.each([
      ['a FIN', (raw: RawSocket) => raw.socket.end()],
      ['a RST', (raw: RawSocket) => raw.socket.resetAndDestroy()],
      [
        'half a frame and a FIN',
        (raw: RawSocket) => raw.socket.write(Uint8Array.of(0x81), () => raw.socket.end()),
      ],
    ])('calls close once after %s', async (_, leave) => {
      const watcher = await watch();
      const raw = await enter('lost');
      leave(raw);
      expect(await text(watcher)).toBe('lost left 1006 false');
      await nothingMore(watcher);
    });

    it('calls close for a client that leaves before the answer', async () => {
      const watcher = await watch();
      const leaving = RawSocket.open(program.port, '/sleeper?name=slow', {}, '1.1', (socket) => {
        void text(watcher).then((waits) => {
          expect(waits).toBe('slow logs in');
          socket.resetAndDestroy();
        });
      });
      await leaving;
      expect(await text(watcher)).toBe('slow left 1006 false');
      await watcher.send('states');
      expect(await text(watcher)).not.toContain('slow open');
      await nothingMore(watcher);
    });

    it('answers before the promise of open, for which messages wait', async () => {
      const watcher = await watch();
      const asked = await open('/sleeper?name=asks');
      expect(await text(asked)).toBe('who are you?');
      await asked.send('ada');
      await nothingMore(watcher);
      asked.terminate();
    });

    it('refuses a socket that its subclass has accepted, and hides it from the others', async () => {
      const watcher = await watch();
      const own = await RawSocket.open(program.port, '/own-socket');
      await watcher.send('states');
      expect(await text(watcher)).toContain('watcher open');
      own.send(1, 'hello');
      expect(await own.closeCode()).toBe(1011);
      own.send(8, closeFrame(1011));
      own.destroy();
      await watcher.send('reports');
      expect(await text(watcher)).toContain('handle its events before you call super');
      await nothingMore(watcher);
    });

    it.each([
      ['kick me', 4001],
      ['throw', 1011],
    ])('does not hear a client that ignores the close after %j', async (message, code) => {
      const watcher = await watch();
      const raw = await enter('closed');
      raw.send(1, message);
      raw.send(1, 'in the same write');
      expect(await raw.closeCode()).toBe(code);
      raw.send(1, 'later');
      raw.send(2, Uint8Array.of(1));
      raw.send(8, closeFrame(code));
      expect(await text(watcher)).toBe(`closed left ${code} true`);
      raw.destroy();
      await nothingMore(watcher);
    });

    it('drops the messages of a client that another one has closed before them', async () => {
      const watcher = await watch();
      const other = await enter('other');
      other.send(1, 'wait');
      other.send(1, 'waits');
      // `wait` is at work.
      await watcher.send('states');
      expect(await text(watcher)).toContain('other open');
      await watcher.send('kick others');
      expect(await other.closeCode()).toBe(4002);
      other.send(8, closeFrame(4002));
      expect(await text(watcher)).toBe('other left 4002 true');
      other.destroy();
      await nothingMore(watcher);
    });

    it('does not hear a closed client after it has slept', async () => {
      const watcher = await watch();
      const raw = await enter('closed');
      raw.send(1, 'throw');
      expect(await raw.closeCode()).toBe(1011);
      // workerd evicts an object that is idle for ten seconds.
      await new Promise((resolve) => setTimeout(resolve, 13_000));
      raw.send(1, 'after the sleep');
      await watcher.send('states');
      // `connections()` has the watcher only.
      expect(await text(watcher)).toBe('watcher open');
      raw.destroy();
      expect(await text(watcher)).toBe('closed left 1006 false');
      await nothingMore(watcher);
    });

    it('closes with 1013 the client that does not read, and no other', async () => {
      const lazy = await enter('lazy');
      lazy.socket.pause();
      const reader = await open('/sleeper?name=reader');
      const received: number[] = [];
      const texts: string[] = [];
      const reading = reader.receive((message) => {
        if (message.isText) texts.push(message.text());
        else received.push(message.data.length);
      });
      await reader.send('flood');
      await expect.poll(() => texts.at(-1)).toMatch(/reader true/);
      expect(texts.at(-1)).toMatch(/lazy false/);
      expect(received.length).toBe(64);
      lazy.socket.resume();
      expect(await lazy.until(() => lazy.rest.includes('slow consumer'))).toBe(true);
      lazy.destroy();
      await reader.close();
      await reading;
    });

    it('closes with 1013 over maxQueuedBytes', async () => {
      const conn = await open('/sleeper?name=flood');
      void conn.send('wait');
      for (let i = 0; i < 2_000; i++) void conn.send('');
      expect((await conn.closed).code).toBe(1013);
    });
  });
});
