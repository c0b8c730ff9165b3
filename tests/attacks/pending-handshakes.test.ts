// Requests that are answered late, or never.
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Conn, Upgrader } from '@ws/node-server';
import { describe, it, vi } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { masked, type RawSocket, rawSocket, request, turn } from '../../src/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import {
  type Attacked,
  ask,
  attacked,
  attackedUpgrader,
  common,
  type Held,
  statusOf,
  Waiting,
  Wire,
  whole,
} from './asking.ts';

const ATTEMPTS = 10_000;
const SECRET = 'the secret of authenticate';

describe('a handshake that waits', () => {
  nothingLeft();

  it('is one of 1,024 at most, all others are refused', { timeout: 60_000 }, async () => {
    const waiting = new Waiting();
    const http = createServer();
    const { authenticate } = waiting;
    http.on(
      'upgrade',
      new Upgrader({ authenticate }).handler((conn) => conn.terminate()),
    );
    const bytes = request();
    const attack = (): Wire => {
      const wire = new Wire(http);
      wire.push(bytes);
      return wire;
    };
    // What is made once for all is made before.
    for (let i = 0; i < 100; i++) attack();
    for (const held of await waiting.until(100)) held.answer();
    await survives(7, async (watch) => {
      const wires: Wire[] = [];
      let refused = 0;
      for (let i = 0; i < ATTEMPTS; i++) {
        wires.push(attack());
        watch.sent(bytes.length);
        if (i % 10 < 9) continue;
        await turn();
        // Those that are over are no part of what is held.
        for (const wire of wires.splice(1_024)) refused += wire.sent.includes(' 503 ') ? 1 : 0;
        if (i % 2_500 === 2_499) watch.weigh();
      }
      const held = await waiting.until(1);
      // A place that is free is taken again.
      held.pop()!.answer();
      await turn();
      const again = attack();
      held.push(...(await waiting.until(1)));
      for (const [i, wire] of [...wires, again].entries()) {
        wire.destroy();
        if (i % 10 === 9) await turn();
      }
      while (held.some(({ signal }) => !signal.aborted)) await turn();
      return { pending: held.length, refused };
    });
  });

  it('ends with its client, and leaves nothing of itself', async () => {
    const waiting = new Waiting();
    const { authenticate } = waiting;
    const http = createServer();
    const before = new WeakMap<Duplex, number>();
    http.on('upgrade', (_req, socket) => before.set(socket, listenersOn(socket)));
    const target = await attackedUpgrader({ authenticate, maxHandshakes: 1 }, http);
    const gone = async (end: (client: RawSocket) => unknown): Promise<Held> => {
      const client = await rawSocket(target.port);
      await client.send(request({ behind: masked(1, 'early') }));
      const [held] = await waiting.until(1);
      end(client);
      if (!held!.signal.aborted) await once(held!.signal, 'abort');
      client.destroy();
      await client.closed;
      while (!held!.req.socket.closed) await turn();
      // It comes too late.
      held!.answer();
      await turn();
      return held!;
    };
    const ways = [
      (client: RawSocket) => client.reset(),
      (client: RawSocket) => client.destroy(),
      (client: RawSocket) => client.end(),
    ];
    // What the first of them makes is made once.
    for (let i = 0; i < 5; i++) for (const way of ways) await gone(way);
    await survives(31, async () => {
      const all: Held[] = [];
      for (const way of ways) all.push(await gone(way));
      const { socket } = all[0]!.req;
      return {
        aborted: common(all.map(({ signal }) => String(signal.aborted))),
        opened: target.opened,
        listeners: listenersOn(socket) - before.get(socket)!,
      };
    });
  });

  it('whose authenticate fails gets 500, one that is never answered 503', async () => {
    const ways: (() => Promise<void>)[] = [
      () => {
        throw new Error(SECRET);
      },
      () => Promise.reject(new Error(SECRET)),
      () => Promise.reject(SECRET),
    ];
    const targets: Attacked[] = [];
    for (const authenticate of ways) targets.push(await attacked({ authenticate }));
    const waiting = new Waiting();
    const { authenticate } = waiting;
    const hanging = await attacked({ authenticate });
    await survives(32, async (watch) => {
      const replies = [];
      for (const target of targets) replies.push(await ask(watch, target, {}));
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const client = await rawSocket(hanging.port);
      await client.send(request());
      const [held] = await waiting.until(1);
      let ms = 0;
      while (!held!.signal.aborted) vi.advanceTimersByTime((ms += 1_000) && 1_000);
      vi.useRealTimers();
      await whole(client);
      const late = client.received.toString('latin1');
      client.destroy();
      await client.closed;
      const said = [...replies.map(({ raw }) => raw), late].join('\n');
      return {
        failed: statusOf(replies),
        hung: Number(late.slice(9, 12)),
        ms,
        body: common(replies.map(({ body }) => body)),
        told: /secret|authenticate|Error:|\bat /i.test(said) ? 1 : 0,
      };
    });
  });

  it('is handed to upgrade twice, which throws', async () => {
    const upgrader = new Upgrader({ authenticate: () => turn() });
    const http = createServer();
    const outcomes = new EventEmitter();
    http.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      const first = upgrader.upgrade(req, socket, head);
      const again = (): Promise<unknown> =>
        upgrader.upgrade(req, socket, head).then(
          () => 'a second connection',
          (error: unknown) => String(error),
        );
      const second = again();
      void first.then(async (conn) => {
        outcomes.emit('all', conn, [await second, await again()]);
      });
    });
    await survives(35, async (watch) => {
      const wire = new Wire(http);
      const all = once(outcomes, 'all') as Promise<[Conn, string[]]>;
      wire.push(request());
      const [conn, says] = await all;
      watch.weigh();
      // The first is none the worse for it.
      const reading = conn.readMessage();
      wire.push(masked(1, 'hello'));
      const text = (await reading).text();
      conn.terminate();
      await conn.closed;
      return {
        second: common(says),
        responses: wire.sent.split('HTTP/1.1 ').length - 1,
        text,
      };
    });
  });
});

/** How many listeners a socket has, but for those that hear of errors. */
function listenersOn(socket: Duplex): number {
  return socket
    .eventNames()
    .filter((name) => name !== 'error')
    .reduce((sum, name) => sum + socket.listenerCount(name), 0);
}
