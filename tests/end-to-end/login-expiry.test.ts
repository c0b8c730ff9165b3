// The end of a login and of a lifetime, with compression, backpressure and a client that reconnects.
import { type Message, ReconnectingConn } from '@ws/node-client';
import { admit, type Conn, serve } from '@ws/node-server';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { nothingLeft, whenOver } from '../peers/index.ts';

const host = '127.0.0.1';

/** The next message of a connection that is replaced. */
async function next(live: ReconnectingConn): Promise<Message> {
  for await (const message of live) return message;
  throw new Error('the connection has ended');
}

describe.each([
  { says: 'a login that expires', code: 4401, lifetime: undefined, expires: 1_000 },
  { says: 'maxLifetime', code: 1001, lifetime: { ms: 1_000, jitter: 0.2 }, expires: 3_600_000 },
])('$says', ({ code, lifetime, expires }) => {
  nothingLeft();

  it('lets a client that reconnects log in again', async () => {
    // No login expires while a busy machine sends its messages.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const conns: Conn[] = [];
    let logins = 0;
    const server = await serve(
      {
        host,
        compression: true,
        maxLifetime: lifetime,
        authenticate: async () => admit({ login: ++logins }, { expires: Date.now() + expires }),
      },
      async (conn, _req, { auth }) => {
        conns.push(conn);
        void conn.send('x'.repeat(3_000_000), { compress: false }).catch(() => {});
        await conn.send(`login ${auth.login} ${'y'.repeat(2_000)}`);
        await conn.discardReads();
      },
    );
    whenOver(() => server.close({ timeout: 1 }));
    const codes: number[] = [];
    const live = new ReconnectingConn(server.url, {
      compression: true,
      minDelay: 1,
      report: () => {},
      onOpen: (conn) => void conn.closed.then((info) => codes.push(info.code)),
    });
    whenOver(() => live.close());
    let large = next(live);
    for (let login = 1; login <= 3; login++) {
      expect((await large).data.length).toBe(3_000_000);
      expect((await next(live)).text()).toContain(`login ${login} `);
      // Without a reader the client does not dial again.
      if (login < 3) large = next(live);
      while (login < 3 && conns.length === login) await vi.advanceTimersByTimeAsync(10);
    }
    expect(codes.slice(0, 2)).toEqual([code, code]);
    expect(conns[0]!.state).toBe('closed');
  });
});
