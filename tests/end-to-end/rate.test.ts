// The option rate of serve and routes, over sockets.
import { dial, type Message, ReconnectingConn } from '@ws/node-client';
import { type Conn, route, serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { nothingLeft, whenOver } from '../peers/index.ts';

const host = '127.0.0.1';

/** The next message of a connection that is replaced. */
async function next(live: ReconnectingConn): Promise<Message> {
  for await (const message of live) return message;
  throw new Error('the connection has ended');
}

describe('rate', () => {
  nothingLeft();

  it('slows a flood down with compression, backpressure, a close and a new connection', async () => {
    const conns: Conn[] = [];
    const got: string[] = [];
    const server = await serve(
      { host, compression: true, rate: { messages: 200, per: 100, burst: 200 } },
      async (conn) => {
        conns.push(conn);
        await conn.receive(async (message) => {
          got.push(message.text());
          await conn.send(message);
        });
      },
    );
    whenOver(() => server.close({ timeout: 1 }));
    const live = new ReconnectingConn(server.url, { compression: true, minDelay: 1 });
    whenOver(() => live.close());
    const sent: string[] = [];
    const send = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const text = `${sent.length} ${'x'.repeat(2_000)}`;
        sent.push(text);
        await live.send(text);
      }
    };
    const answers = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await next(live);
    };
    await Promise.all([send(1_000), answers(1_000)]);
    expect(got).toEqual(sent);
    // All but the burst waited for new tokens: 400 ms at least.
    await conns[0]!.close(1012);
    await Promise.all([send(300), answers(300)]);
    expect(got).toEqual(sent);
    expect(conns).toHaveLength(2);
  });

  it('belongs to one path by route', async () => {
    const server = await serve(
      { host },
      {
        '/free': (conn) => conn.receive((message) => conn.send(message)),
        '/route': route({ rate: { messages: 1, per: 60_000, over: 'close' } }, (conn) =>
          conn.receive((message) => conn.send(message)),
        ),
      },
    );
    whenOver(() => server.close({ timeout: 1 }));
    const passed: number[] = [];
    for (const path of ['/free', '/route']) {
      const conn = await dial(`${server.url}${path}`);
      whenOver(() => conn.terminate());
      let count = 0;
      for (let i = 0; i < 5; i++) void conn.send('x').catch(() => {});
      try {
        for (; count < 5; count++) await conn.readMessage();
      } catch {
        expect((await conn.closed).code).toBe(1013);
      }
      passed.push(count);
    }
    expect(passed[0]).toBe(5);
    // What was written before the fault may be cut.
    expect(passed[1]).toBeLessThanOrEqual(1);
  });
});
