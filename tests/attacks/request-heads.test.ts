import { createServer, type Server } from 'node:http';
import { Upgrader } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { type RawPeer, type RequestChange, rawClient, request, turn } from '../kit/index.ts';
import { nothingLeft } from '../peers/index.ts';
import { claim, KIB, lowestAtMost, survives, threadTime } from './harness/index.ts';
import {
  commonValue,
  crashes,
  MemorySocket,
  PendingAuthenticate,
  sendRequest,
  sendRequests,
  statusOf,
  type TargetServer,
  targetServer,
  targetUpgrader,
  untilWholeReply,
} from './target-server.ts';

const flood = (lines: number): RequestChange => ({
  // The extra lines come first, so that a bounded list loses the needed ones.
  line: ['GET /chat HTTP/1.1', ...Array<string>(lines).fill('a:b')].join('\r\n'),
});

describe('a request head', () => {
  nothingLeft();

  it('of thousands of lines is refused, and one of hundreds costs little', async () => {
    const waiting = new PendingAuthenticate();
    const own = await targetServer({ authenticate: waiting.authenticate });
    const nodes = await targetUpgrader();
    const unbounded = createServer();
    unbounded.maxHeadersCount = 0;
    const theirs = await targetUpgrader({}, unbounded);
    const floods = [1_500, 2_000, 2_500].map(flood);
    const names = Array.from({ length: 990 }, (_, i) => `${i.toString(36)}:`);
    const attack = claim(
      'a flood of 1,500 to 2,500 short header lines before the needed ones',
      'CVE-2024-37890',
    );
    await survives(attack, { bounded: 431, whole: 101, held: 101, crashes: 0 }, async (watch) => {
      const bounded = [
        ...(await sendRequests(watch, own, floods)),
        ...(await sendRequests(watch, nodes, floods)),
      ];
      const whole = await sendRequests(watch, theirs, floods);
      const client = await rawClient(own.port);
      const bytes = request({ add: names });
      watch.sent(bytes.length);
      await client.write(bytes);
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

  it('is refused if a low maxHeadersCount hides its needed lines', async () => {
    const servers = [1, 2, 3, 4, 5].map((count) => {
      const http = createServer();
      http.maxHeadersCount = count;
      return http;
    });
    const targets: TargetServer[] = [];
    for (const http of servers) targets.push(await targetUpgrader({}, http));
    const attack = claim('needed header lines hidden by a low maxHeadersCount', 'CVE-2024-37890');
    await survives(attack, { refused: 10, crashes: 0 }, async (watch) => {
      const replies = [];
      for (const target of targets) {
        replies.push(await sendRequest(watch, target, {}));
        replies.push(
          await sendRequest(watch, target, { add: ['Content-Length: 2'], behind: 'ab' }),
        );
      }
      return {
        // Newer versions of node:http answer 431 themselves.
        refused: replies.filter(({ status }) => status === 400 || status === 431).length,
        crashes: targets.reduce((sum, { opened }) => sum + opened, 0),
      };
    });
    // With a larger count the servers accept the same request.
    for (const http of servers) http.maxHeadersCount = 20;
    for (const target of targets) expect(await crashes(target)).toBe(0);
  });

  it('with a value of 20 kB is refused, and holds no more than a head', async () => {
    const target = await targetServer();
    const head = request({ add: [`X-A: ${'x'.repeat(20_000)}`] });
    const part = head.subarray(0, 16_000);
    await sendRequest(undefined, target, head);
    // The connections themselves do not count.
    const clients: RawPeer[] = [];
    const rounds = 6;
    for (let i = 0; i < rounds; i++) clients.push(await rawClient(target.port));
    const attack = claim('a header value of 20 kB', 'CVE-2023-43669');
    const bound = { status: 431, socket: 'closed', opened: 0, memory: 16 * KIB, rounds };
    await survives(attack, bound, async (watch) => {
      const client = clients.pop()!;
      await client.write(part);
      for (let i = 0; i < 10; i++) await turn();
      watch.weigh();
      await client.write(head.subarray(part.length));
      await untilWholeReply(client);
      watch.weigh();
      client.end();
      await client.closed;
      return {
        status: Number(client.received.toString('latin1', 9, 12)),
        socket: client.ended && client.error === undefined ? 'closed' : 'open',
        opened: target.opened,
      };
    });
    for (const client of clients) {
      client.destroy();
      await client.closed;
    }
  });

  it('of 16,000 one-byte chunks is read once', async () => {
    const http = createServer();
    http.maxHeadersCount = 0;
    http.on(
      'upgrade',
      new Upgrader().handler((conn) => conn.terminate()),
    );
    const value = request({ add: [`X-A: ${'x'.repeat(15_700)}`] });
    const lines = request({ add: Array<string>(3_100).fill('a:b') });
    // Compilation must not count.
    for (const head of [value, lines]) await trickle(http, head);
    const attack = claim(
      'a request head of 16,000 one-byte writes, for a quadratic parser',
      'CVE-2023-43669',
    );
    // Node's parser has a cost for each write. So this compares the last eighth of a head with its
    // first: a parser that starts again on each write would need fifteen times as much for it.
    const bound = { status: 101, ratio: lowestAtMost(6) };
    await survives(attack, bound, async () => {
      const results: Trickled[][] = [];
      for (const head of [value, lines]) {
        const runs: Trickled[] = [];
        for (let i = 0; i < 8; i++) runs.push(await trickle(http, head));
        results.push(runs);
      }
      const ratios = results.map((runs) => least(runs, 'last') / least(runs, 'first'));
      return {
        status: commonValue(results.flat().map(({ status }) => status)),
        ratio: Math.max(...ratios),
      };
    });
  });

  it('with bare CR, LF or NUL, or a folded line, is refused', async () => {
    const target = await targetServer();
    const lines = [
      ['X-A: a\rb', 'X-A: a\r', 'X-A: a\nb', 'X-A: a\n', 'X-A: a\nX-B: b', 'X-A: a\0b'],
      ['X-A: \0', 'X-A\0: a', 'X-A: a\r\n b', 'X-A:\r\n\tb', 'Host: a\rb', 'X-A\r: a'],
      ['Transfer-Encoding:\r\n chunked', 'X-A : a', ': a'],
    ].flat();
    const attack = claim('bare CR, LF, NUL and folded lines in a request', 'RFC 9112, 2.2 and 5.2');
    await survives(attack, { status: 400, opened: 0 }, async (watch) => {
      const replies = await sendRequests(
        watch,
        target,
        lines.map((line) => ({ add: [line] })),
      );
      const bare = await sendRequest(
        watch,
        target,
        request().toString('latin1').replaceAll('\r', ''),
      );
      return { status: statusOf([...replies, bare]), opened: target.opened };
    });
  });
});

interface Trickled {
  readonly status: number;
  /** CPU time in ms for these eighths of the head, without the effects of its end. */
  readonly first: number;
  readonly last: number;
}

async function trickle(http: Server, head: Buffer): Promise<Trickled> {
  const wire = new MemorySocket(http);
  await turn();
  const end = head.length - 4;
  const eighth = Math.floor(end / 8);
  const first = await feed(wire, head.subarray(0, eighth));
  await feed(wire, head.subarray(eighth, end - eighth));
  const last = await feed(wire, head.subarray(end - eighth, end));
  wire.push(head.subarray(end));
  while (wire.sent === '') await turn();
  wire.destroy();
  await turn();
  return { status: Number(wire.sent.slice(9, 12)), first, last };
}

/** Returns the lowest of several runs: other work of the process adds to each. */
function least(runs: readonly Trickled[], part: 'first' | 'last'): number {
  return Math.min(...runs.map((run) => run[part]));
}

async function feed(wire: MemorySocket, bytes: Buffer): Promise<number> {
  const before = threadTime();
  for (let at = 0; at < bytes.length; at++) {
    wire.push(bytes.subarray(at, at + 1));
    // Spreads the bytes over several turns.
    if (at % 500 === 499) await turn();
  }
  return threadTime() - before;
}
