// Heads that are long, come in pieces, or are no HTTP.
import { createServer, type Server } from 'node:http';
import { Upgrader } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { survives, threadTime } from '../../src/hostile/index.ts';
import { type RawSocket, type RequestChange, rawSocket, request, turn } from '../../src/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import {
  type Attacked,
  ask,
  askAll,
  attacked,
  attackedUpgrader,
  common,
  crashes,
  statusOf,
  Waiting,
  Wire,
  whole,
} from './asking.ts';

const flood = (lines: number): RequestChange => ({
  // In front of those that are needed, so that it is those that a bounded list loses.
  line: ['GET /chat HTTP/1.1', ...Array<string>(lines).fill('a:b')].join('\r\n'),
});

describe('a head', () => {
  nothingLeft();

  it('of thousands of header lines is refused, and one of hundreds is cheap to hold', async () => {
    const waiting = new Waiting();
    const own = await attacked({ authenticate: waiting.authenticate });
    const nodes = await attackedUpgrader();
    const unbounded = createServer();
    unbounded.maxHeadersCount = 0;
    const theirs = await attackedUpgrader({}, unbounded);
    const floods = [1_500, 2_000, 2_500].map(flood);
    const names = Array.from({ length: 990 }, (_, i) => `${i.toString(36)}:`);
    await survives(1, async (watch) => {
      const bounded = [
        ...(await askAll(watch, own, floods)),
        ...(await askAll(watch, nodes, floods)),
      ];
      const whole = await askAll(watch, theirs, floods);
      const client = await rawSocket(own.port);
      const bytes = request({ add: names });
      watch.sent(bytes.length);
      await client.send(bytes);
      const [held] = await waiting.until(1);
      watch.weigh();
      held!.answer();
      const received = await client.until('\r\n\r\n');
      client.destroy();
      await client.closed;
      return {
        bounded: statusOf(bounded),
        whole: statusOf(whole),
        held: Number(received.toString('latin1', 9, 12)),
        crashes: (await crashes(theirs)) + (await crashes(nodes)),
      };
    });
  });

  it('whose needed lines a lowered maxHeadersCount hides is refused', async () => {
    const servers = [1, 2, 3, 4, 5].map((count) => {
      const http = createServer();
      http.maxHeadersCount = count;
      return http;
    });
    const targets: Attacked[] = [];
    for (const http of servers) targets.push(await attackedUpgrader({}, http));
    await survives(2, async (watch) => {
      const replies = [];
      for (const target of targets) {
        replies.push(await ask(watch, target, {}));
        replies.push(await ask(watch, target, { add: ['Content-Length: 2'], behind: 'ab' }));
      }
      return {
        status: statusOf(replies),
        crashes: targets.reduce((sum, { opened }) => sum + opened, 0),
      };
    });
    // The servers still serve: with a larger count the same request is a good one.
    for (const http of servers) http.maxHeadersCount = 20;
    for (const target of targets) expect(await crashes(target)).toBe(0);
  });

  it('with a value of 20 kB is refused, and no more than a head is kept', async () => {
    const target = await attacked();
    const head = request({ add: [`X-A: ${'x'.repeat(20_000)}`] });
    const part = head.subarray(0, 16_000);
    await ask(undefined, target, head);
    // The connections are no part of what is kept.
    const clients: RawSocket[] = [];
    const rounds = 6;
    for (let i = 0; i < rounds; i++) clients.push(await rawSocket(target.port));
    await survives(
      3,
      async (watch) => {
        const client = clients.pop()!;
        await client.send(part);
        for (let i = 0; i < 10; i++) await turn();
        watch.weigh();
        await client.send(head.subarray(part.length));
        await whole(client);
        watch.weigh();
        client.end();
        await client.closed;
        return {
          status: Number(client.received.toString('latin1', 9, 12)),
          socket: client.ended && client.error === undefined ? 'closed' : 'open',
          opened: target.opened,
        };
      },
      { rounds },
    );
    for (const client of clients) {
      client.destroy();
      await client.closed;
    }
  });

  it('of 16,000 bytes that come one by one is read once', async () => {
    const http = createServer();
    http.maxHeadersCount = 0;
    http.on(
      'upgrade',
      new Upgrader().handler((conn) => conn.terminate()),
    );
    const value = request({ add: [`X-A: ${'x'.repeat(15_700)}`] });
    const lines = request({ add: Array<string>(3_100).fill('a:b') });
    // Warm-up: what is compiled on the way is not what a head costs.
    for (const head of [value, lines]) await trickle(http, head);
    await survives(5, async () => {
      const results: Trickled[][] = [];
      for (const head of [value, lines]) {
        const runs: Trickled[] = [];
        for (let i = 0; i < 8; i++) runs.push(await trickle(http, head));
        results.push(runs);
      }
      const ratios = results.map((runs) => least(runs, 'second') / least(runs, 'first'));
      return {
        status: common(results.flat().map(({ status }) => status)),
        ratio: Math.max(...ratios),
      };
    });
  });

  it('with bare CR, LF or NUL, or a folded line, is refused', async () => {
    const target = await attacked();
    const lines = [
      'X-A: a\rb',
      'X-A: a\r',
      'X-A: a\nb',
      'X-A: a\n',
      'X-A: a\nX-B: b',
      'X-A: a\0b',
      'X-A: \0',
      'X-A\0: a',
      'X-A: a\r\n b',
      'X-A:\r\n\tb',
      'Host: a\rb',
      'Transfer-Encoding:\r\n chunked',
      'X-A\r: a',
      'X-A : a',
      ': a',
    ];
    await survives(9, async (watch) => {
      const replies = await askAll(
        watch,
        target,
        lines.map((line) => ({ add: [line] })),
      );
      const bare = await ask(watch, target, request().toString('latin1').replaceAll('\r', ''));
      return { status: statusOf([...replies, bare]), opened: target.opened };
    });
  });
});

interface Trickled {
  readonly status: number;
  /** What the halves of the head cost, but for what its end sets off, in ms. */
  readonly first: number;
  readonly second: number;
}

/** Feeds a head byte by byte. */
async function trickle(http: Server, head: Buffer): Promise<Trickled> {
  const wire = new Wire(http);
  await turn();
  const end = head.length - 4;
  const first = await feed(wire, head.subarray(0, end >> 1));
  const second = await feed(wire, head.subarray(end >> 1, end));
  wire.push(head.subarray(end));
  while (wire.sent === '') await turn();
  wire.destroy();
  await turn();
  return { status: Number(wire.sent.slice(9, 12)), first, second };
}

/** The cheapest of several runs: what else the process does comes on top. */
function least(runs: readonly Trickled[], half: 'first' | 'second'): number {
  return Math.min(...runs.map((run) => run[half]));
}

/** CPU time of it all, in ms. */
async function feed(wire: Wire, bytes: Buffer): Promise<number> {
  const before = threadTime();
  for (let at = 0; at < bytes.length; at++) {
    wire.push(bytes.subarray(at, at + 1));
    // Not all in one turn of the loop.
    if (at % 500 === 499) await turn();
  }
  return threadTime() - before;
}
