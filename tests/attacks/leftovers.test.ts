// What connections leave behind when they are gone: nothing.
import { type Conn, connPair } from '@ws/conn';
import { Dialer } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { FakeHost, turn } from '../../src/index.ts';
import { expectNoSockets, nothingLeft, whenOver } from '../../src/peers/index.ts';
import { warm } from './warm.ts';

/** Cycles between two looks at the heap. */
const WINDOW = 3_000;
const WINDOWS = 6;
/** Connections that are there together. */
const CROWD = 50;

/** The heap when all garbage is collected. */
function heap(watch: Watch): number {
  return watch.held();
}

/** Opens connections in memory, echoes a message on each, and ends them: half by a handshake, half without a word. */
async function cycles(host: FakeHost, count: number): Promise<void> {
  for (let done = 0; done < count; done += CROWD) {
    const pairs = Array.from({ length: CROWD / 2 }, () => connPair({ host }));
    for (const [client, server] of pairs) {
      server.receive((message) => server.send(message)).catch(() => {});
      client.receive(() => {}).catch(() => {});
      void client.send('there and back');
    }
    await host.settle();
    for (const [i, [client, server]] of pairs.entries()) {
      if (i % 2 === 0) void client.close();
      else server.terminate();
    }
    await host.settle();
    await turn();
  }
}

describe('connections that are gone', () => {
  nothingLeft();

  it('have left no memory and no timer after thousands of cycles', async () => {
    const host = new FakeHost();
    await cycles(host, 4 * WINDOW);
    await survives(
      104,
      async (watch): Promise<Outcome> => {
        const grown: number[] = [];
        let before = heap(watch);
        for (let i = 0; i < WINDOWS; i++) {
          await cycles(host, WINDOW);
          const now = heap(watch);
          grown.push((now - before) / WINDOW);
          before = now;
        }
        // What is left behind is there every time; what V8 compiles, now and then.
        const slope = grown.toSorted((a, b) => a - b)[WINDOWS >> 1]!;
        return { slope, cycles: WINDOW * WINDOWS, left: host.timers };
      },
      { rounds: 1 },
    );
  }, 60_000);

  it('have left no socket, no timer, no listener and no entry of a set', async () => {
    const conns: Conn[] = [];
    const server = await serve({ host: '127.0.0.1' }, (conn) => {
      conns.push(conn);
      return conn.receive((message) => conn.send(message));
    });
    whenOver(() => server.close());
    const dialer = new Dialer();
    const round = async (): Promise<Outcome> => {
      const before = leftovers();
      for (let i = 0; i < 30; i++) {
        const { conn } = await dialer.dial(server.url);
        const echoed = conn.readMessage();
        await conn.send('there and back');
        await echoed;
        if (i % 3 === 0) await conn.close();
        else if (i % 3 === 1) conn.terminate();
        else void conns.at(-1)!.close();
        await Promise.all([conn.discardReads().catch(() => {}), conn.closed]);
        await conns.pop()!.closed;
      }
      await expectNoSockets();
      const more = await leftMoreThan(before);
      expect(more).toEqual([]);
      return { left: more.length + server.connections.size };
    };
    await survives(
      104,
      await warm(async () => ({ slope: 0, cycles: WINDOW * WINDOWS, ...(await round()) }), 3),
    );
  }, 60_000);
});

/** What there is now and was not before. The test runner's own timers come and go: they get two seconds to be over. */
async function leftMoreThan(before: readonly string[]): Promise<string[]> {
  const patience = AbortSignal.timeout(2_000);
  for (;;) {
    const past = [...before];
    const more = leftovers().filter((name) => {
      const at = past.indexOf(name);
      if (at >= 0) past.splice(at, 1);
      return at < 0;
    });
    if (more.length === 0 || patience.aborted) return more;
    await turn();
  }
}

/** What keeps a process busy, and who listens to it. */
function leftovers(): string[] {
  const listeners = process
    .eventNames()
    .map((name) => `${String(name)} ${process.listenerCount(name)}`);
  return [...process.getActiveResourcesInfo(), ...listeners];
}
