import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Conn, Upgrader } from '@ws/node-server';
import { describe, it, vi } from 'vitest';
import { masked, type RawPeer, rawClient, request, turn } from '../kit/index.ts';
import { nothingLeft } from '../peers/index.ts';
import { atLeast, atMost, claim, MIB, survives } from './harness/index.ts';
import {
  commonValue,
  MemorySocket,
  PendingAuthenticate,
  type PendingRequest,
  sendRequest,
  statusOf,
  type TargetServer,
  targetServer,
  targetUpgrader,
  untilWholeReply,
} from './target-server.ts';

const ATTEMPTS = 10_000;
const SECRET = 'the secret of authenticate';

describe('a pending handshake', () => {
  nothingLeft();

  it('is one of 1,024 at most, and all others are refused', async () => {
    const waiting = new PendingAuthenticate();
    const http = createServer();
    const { authenticate } = waiting;
    // On a busy machine the attack takes longer than the default of 10 s, after which others get
    // the places.
    const upgrader = new Upgrader({ authenticate, handshakeTimeout: false });
    http.on(
      'upgrade',
      upgrader.handler((conn) => conn.terminate()),
    );
    const bytes = request();
    const attack = (): MemorySocket => {
      const wire = new MemorySocket(http);
      wire.push(bytes);
      return wire;
    };
    // One-time allocations happen before the attack.
    for (let i = 0; i < 100; i++) attack();
    for (const held of await waiting.until(100)) held.answer();
    await survives(
      claim('10,000 handshakes whose authenticate is pending', 'CWE-770'),
      {
        pending: atMost(1024),
        refused: atLeast(8976),
        // 10 KiB for each of 1,024: the request, the parser and the socket of Node, and an
        // AbortSignal.
        memory: 10 * MIB,
      },
      async (watch) => {
        const wires: MemorySocket[] = [];
        let refused = 0;
        for (let i = 0; i < ATTEMPTS; i++) {
          wires.push(attack());
          watch.sent(bytes.length);
          if (i % 10 < 9) continue;
          await turn();
          // Refused requests do not count as held.
          for (const wire of wires.splice(1_024)) refused += wire.sent.includes(' 503 ') ? 1 : 0;
          if (i % 2_500 === 2_499) watch.weigh();
        }
        const held = await waiting.until(1);
        // A free place is taken again.
        held.pop()!.answer();
        await turn();
        const again = attack();
        held.push(...(await waiting.until(1)));
        for (const [i, wire] of [...wires, again].entries()) {
          wire.destroy();
          if (i % 10 === 9) await turn();
        }
        while (held.some(({ signal }) => !signal.aborted)) await turn();
        // A place is free when its client and `authenticate` are done.
        for (const one of held) one.answer();
        await turn();
        return { pending: held.length, refused };
      },
    );
  });

  it('ends with its client, and releases everything', async () => {
    const waiting = new PendingAuthenticate();
    const { authenticate } = waiting;
    const http = createServer();
    const before = new WeakMap<Duplex, number>();
    http.on('upgrade', (_req, socket) => before.set(socket, listenersOn(socket)));
    const target = await targetUpgrader({ authenticate, maxHandshakes: 1 }, http);
    const gone = async (end: (client: RawPeer) => unknown): Promise<PendingRequest> => {
      const client = await rawClient(target.port);
      await client.write(request({ behind: masked(1, 'early') }));
      const [held] = await waiting.until(1);
      end(client);
      if (!held!.signal.aborted) await once(held!.signal, 'abort');
      client.destroy();
      await client.closed;
      while (!held!.req.socket.closed) await turn();
      held!.answer();
      await turn();
      return held!;
    };
    const ways = [
      (client: RawPeer) => client.reset(),
      (client: RawPeer) => client.destroy(),
      (client: RawPeer) => client.end(),
    ];
    // One-time allocations of the first requests.
    for (let i = 0; i < 2; i++) for (const way of ways) await gone(way);
    // One listener stays on the socket: it receives late errors and holds nothing.
    const attack = claim('a client that leaves while authenticate waits', 'websockets/ws#380');
    await survives(attack, { aborted: 'true', opened: 0, listeners: atMost(0) }, async () => {
      const all: PendingRequest[] = [];
      for (const way of ways) all.push(await gone(way));
      const { socket } = all[0]!.req;
      return {
        aborted: commonValue(all.map(({ signal }) => String(signal.aborted))),
        opened: target.opened,
        listeners: listenersOn(socket) - before.get(socket)!,
      };
    });
  });

  it('gets 500 if authenticate fails, and 503 if it never settles', async () => {
    const ways: (() => Promise<never>)[] = [
      () => {
        throw new Error(SECRET);
      },
      () => Promise.reject(new Error(SECRET)),
      () => Promise.reject(SECRET),
    ];
    const targets: TargetServer[] = [];
    for (const authenticate of ways) targets.push(await targetServer({ authenticate }));
    const waiting = new PendingAuthenticate();
    const { authenticate } = waiting;
    const hanging = await targetServer({ authenticate });
    const attack = claim('an authenticate that throws, rejects or never settles', 'CWE-209');
    const bound = {
      failed: 500,
      hung: 503,
      // Long timers fire up to 100 ms late, together.
      ms: atMost(10_100),
      body: 'Internal Server Error\n',
      told: 0,
    };
    await survives(attack, bound, async (watch) => {
      const replies = [];
      for (const target of targets) replies.push(await sendRequest(watch, target, {}));
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
      const client = await rawClient(hanging.port);
      await client.write(request());
      const [held] = await waiting.until(1);
      let ms = 0;
      for (; !held!.signal.aborted; ms += 10) {
        vi.advanceTimersByTime(10);
        await turn();
      }
      vi.useRealTimers();
      await untilWholeReply(client);
      const late = client.received.toString('latin1');
      client.destroy();
      await client.closed;
      const said = [...replies.map(({ raw }) => raw), late].join('\n');
      return {
        failed: statusOf(replies),
        hung: Number(late.slice(9, 12)),
        ms,
        body: commonValue(replies.map(({ body }) => body)),
        told: /secret|authenticate|Error:|\bat /i.test(said) ? 1 : 0,
      };
    });
  });

  it('can be upgraded only once', async () => {
    const upgrader = new Upgrader({ authenticate: () => turn().then(() => true) });
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
    const attack = claim('a second upgrade call for one socket', 'CWE-664');
    const bound = {
      second: 'Error: websocket: upgrade was called before for this socket',
      responses: 1,
      text: 'hello',
    };
    await survives(attack, bound, async (watch) => {
      const wire = new MemorySocket(http);
      const all = once(outcomes, 'all') as Promise<[Conn, string[]]>;
      wire.push(request());
      const [conn, says] = await all;
      watch.weigh();
      const reading = conn.readMessage();
      wire.push(masked(1, 'hello'));
      const text = (await reading).text();
      conn.terminate();
      await conn.closed;
      return {
        second: commonValue(says),
        responses: wire.sent.split('HTTP/1.1 ').length - 1,
        text,
      };
    });
  });
});

/** Returns the number of listeners on a socket, except those for errors. */
function listenersOn(socket: Duplex): number {
  return socket
    .eventNames()
    .filter((name) => name !== 'error')
    .reduce((sum, name) => sum + socket.listenerCount(name), 0);
}
