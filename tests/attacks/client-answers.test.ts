import { BadHandshakeError, Dialer, type DialerOptions } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { turn } from '../kit/fake-platform.ts';
import { atMost, claim, KIB, survives, type Watch } from './harness/index.ts';
import {
  Dials,
  HostileServer,
  type ReceivedRequest,
  type RequestHandler,
  writeForever,
} from './hostile-server.ts';

const HUGE = 65_536;

type Answer = string | ((request: ReceivedRequest) => string);

/** Dials once for each answer. Each error must be a BadHandshakeError that matches `why`. */
async function answered(
  answers: readonly Answer[],
  why: RegExp,
  options: DialerOptions = {},
): Promise<{ cases: number; opened: number; left: number; crash: number }> {
  const dials = new Dials();
  let left = 0;
  for (const answer of answers) {
    const server = new HostileServer((end, request) => {
      end.write(typeof answer === 'string' ? answer : answer(request), 'latin1');
    });
    const dialer = new Dialer({ netDial: server.netDial, ...options });
    await dials.take(dialer.dial('ws://h/'));
    left += server.left;
  }
  // A refused connection may still act within a few turns.
  for (let i = 0; i < 5; i++) await turn();
  for (const error of dials.errors) expect(error.message).toMatch(why);
  const { opened, errors } = dials;
  const crash = errors.filter((error) => !(error instanceof BadHandshakeError)).length;
  return { cases: opened + errors.length, opened, left, crash };
}

/** Returns a head with other accept lines. */
const accepts =
  (lines: (accept: string) => readonly string[]) =>
  ({ ok, accept }: ReceivedRequest): string => {
    const others = lines(accept).map((value) => `Sec-WebSocket-Accept: ${value}\r\n`);
    return ok().replace(`Sec-WebSocket-Accept: ${accept}\r\n`, others.join(''));
  };

/**
 * Dials a server with an endless answer. Weighs memory after the dial has failed, with its error.
 */
async function gaveUp(
  start: string,
  more: Uint8Array,
  watch: Watch,
): Promise<{ opened: number; body: number }> {
  const dials = new Dials();
  const server = new HostileServer((end) => {
    end.write(start);
    writeForever(end, more, watch);
  });
  await dials.take(new Dialer({ netDial: server.netDial }).dial('ws://h/'));
  expect(server.left).toBe(0);
  server.streams.length = 0;
  const [error] = dials.errors;
  expect(error).toBeInstanceOf(BadHandshakeError);
  // V8 keeps the whole stack until a caller reads it.
  expect(error?.stack).toContain(error?.message);
  // These heads and bodies all have the largest size, so one weighing is enough.
  if (more.length === HUGE) watch.weigh();
  return { opened: dials.opened, body: (error as BadHandshakeError).body.length };
}

describe('a client', () => {
  it('opens only for the correct Sec-WebSocket-Accept, sent once', async () => {
    const other = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
    const wrong = [
      accepts(() => [other]),
      accepts(() => []),
      accepts(() => ['']),
      accepts((right) => [right, right]),
      accepts((right) => [right, other]),
      accepts((right) => [other, right]),
      accepts((right) => [`${right}, ${right}`]),
      accepts((right) => [`"${right}"`]),
      accepts((right) => [right.toLowerCase()]),
      accepts((right) => [right.slice(0, -1)]),
      accepts((right) => [`${right}=`]),
      accepts((right) => [`${right.startsWith('x') ? 'y' : 'x'}${right.slice(1)}`]),
    ];
    const attack = claim('a wrong, missing or second Sec-WebSocket-Accept', 'RFC 6455, 4.1');
    const bound = { opened: 0, left: 0, warmUps: 5 };
    const { cases } = await survives(attack, bound, () => answered(wrong, /Sec-WebSocket-Accept/));
    expect(cases).toBe(wrong.length);
    expect(await answered([accepts((right) => [right])], /never/)).toMatchObject({ opened: 1 });
  });

  it('does not open for an extension or subprotocol that it did not offer', async () => {
    const extension = (value: string) => (request: ReceivedRequest) =>
      request.ok(`Sec-WebSocket-Extensions: ${value}\r\n`);
    const protocol = (value: string) => (request: ReceivedRequest) =>
      request.ok(`Sec-WebSocket-Protocol: ${value}\r\n`);
    const deflate = 'permessage-deflate';
    const unasked = [extension(deflate), extension('x'), protocol('chat'), protocol('<script>')];
    const others = [
      extension('x'),
      extension(`${deflate}, ${deflate}`),
      extension(`${deflate}, x`),
      extension(`x, ${deflate}`),
      extension(`${deflate}; __proto__`),
      extension(`${deflate}, ${deflate}\r\nSec-WebSocket-Extensions: x`),
      protocol('c'),
      protocol('A'),
      protocol('a, b'),
      protocol('a\r\nSec-WebSocket-Protocol: b'),
      protocol('a\r\nSec-WebSocket-Protocol: a'),
      protocol(''),
    ];
    const attack = claim(
      'an extension or a subprotocol that the client did not offer',
      'RFC 6455, 4.1',
    );
    const { cases } = await survives(attack, { opened: 0 }, async () => {
      const one = await answered(unasked, /was not offered/);
      const many = await answered(others, /Sec-WebSocket-/, {
        compression: true,
        subprotocols: ['a', 'b'],
      });
      return { cases: one.cases + many.cases, opened: one.opened + many.opened };
    });
    expect(cases).toBe(unasked.length + others.length);
  });

  it('does not open for window bits that zlib lacks, and never passes them to zlib', async () => {
    const bits = [
      ['16', '1000', '7', 'x', '', '0', '-1', '08', '015', '1e1', '"16"', '15.0', 'true'],
    ].flat();
    const names = ['server_max_window_bits', 'client_max_window_bits'];
    const answers = names.flatMap((name) =>
      [...bits.map((value) => `=${value}`), ...(name.startsWith('server') ? [''] : [])].map(
        (value) => (request: ReceivedRequest) =>
          request.ok(`Sec-WebSocket-Extensions: permessage-deflate; ${name}${value}\r\n`) +
          // A compressed message, which a client would inflate at once.
          '\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00',
      ),
    );
    const attack = claim('window bits that zlib does not support', 'CVE-2026-2229');
    const bound = { opened: 0, crash: 0 };
    const { cases } = await survives(attack, bound, () =>
      answered(answers, /Sec-WebSocket-Extensions/, { compression: true }),
    );
    expect(cases).toBe(answers.length);
  });

  it('stops reading an endless answer', async () => {
    const line = `X-A: ${'a'.repeat(100)}\r\n`;
    const endless = [
      ['HTTP/1.1 101 S\r\n', line.repeat(100)],
      ['HTTP/1.1 101 S\r\nX: ', 'a'.repeat(4096)],
      ['HTTP/1.1 101 S\r\n', ' '.repeat(4096)],
      ['HTTP/1.1 101 S\r\nX:', ' '.repeat(4096)],
      ['HTTP/1.1 101 ', 'a'.repeat(4096)],
      ['', 'HTTP/1.1 100 Continue\r\n\r\n'],
      ['', `HTTP/1.1 103 Early Hints\r\n${line.repeat(10)}\r\n`],
      ['HTTP/1.1 200 OK\r\n\r\n', 'x'.repeat(HUGE)],
      [
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
        '3e8\r\n'.padEnd(1005, 'x').concat('\r\n'),
      ],
    ].map(([start = '', more = '']) => [start, Buffer.from(more)] as const);
    const interims = 'HTTP/1.1 103 Early Hints\r\n\r\n';
    const opens = async (answer: RequestHandler): Promise<boolean> => {
      const dials = new Dials();
      await dials.take(new Dialer({ netDial: new HostileServer(answer).netDial }).dial('ws://h/'));
      return dials.opened === 1;
    };
    const attack = claim('an endless head, endless interim responses, an endless body', 'CWE-770');
    const bound = { opened: 0, body: atMost(1024), head: atMost(64 * KIB), interim: atMost(10) };
    await survives(attack, bound, async (watch) => {
      const ends: { opened: number; body: number }[] = [];
      for (const [start, more] of endless) ends.push(await gaveUp(start, more, watch));
      const opened = ends.reduce((sum, end) => sum + end.opened, 0);
      const body = Math.max(...ends.map((end) => end.body));
      // The largest accepted size of two: one within the bound, and one beyond it.
      let head = 0;
      for (const size of [65_000, 65_537]) {
        const answer: RequestHandler = (end, { ok }) => {
          const padding = size - ok('X: \r\n').length;
          end.write(ok(`X: ${'a'.repeat(padding)}\r\n`));
        };
        if (await opens(answer)) head = size;
      }
      let interim = 0;
      for (const count of [10, 11]) {
        if (await opens((end, { ok }) => void end.write(interims.repeat(count) + ok()))) {
          interim = count;
        }
      }
      expect([head, interim]).not.toContain(0);
      return { opened, body, head, interim };
    });
  });

  it('reports the status, the headers and the first bytes of the body of a refusal', async () => {
    const answer = (status: number): string =>
      `HTTP/1.1 ${status} No\r\nX-Why: ${status}\r\nContent-Length: 5000\r\n\r\n${'why '.repeat(1250)}`;
    const attack = claim('responses 401, 407, 403 and 503 with a long body', 'RFC 6455, 4.1');
    await survives(attack, { statuses: '401, 407, 403, 503', body: atMost(1024) }, async () => {
      const statuses: number[] = [];
      let body = 0;
      for (const status of [401, 407, 403, 503]) {
        const server = new HostileServer(answer(status));
        const dials = new Dials();
        await dials.take(new Dialer({ netDial: server.netDial }).dial('ws://h/'));
        const [error] = dials.errors;
        expect(error).toBeInstanceOf(BadHandshakeError);
        const refused = error as BadHandshakeError;
        expect(refused.headers['x-why']).toBe(String(status));
        expect(refused.body.toString()).toMatch(/^(why )+$/);
        statuses.push(refused.status);
        body = Math.max(body, refused.body.length);
        expect(server.left).toBe(0);
      }
      return { statuses: statuses.join(', '), body };
    });
  });
});
