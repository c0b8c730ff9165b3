import { BadHandshakeError, Dialer, type DialerOptions } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { turn } from '../../src/fake-host.ts';
import { survives, type Watch } from '../../src/hostile/index.ts';
import { Answerer, type Answering, type Asked, Dials, endlessly } from './answering.ts';
import { warm } from './warm.ts';

const HUGE = 16_384;

type Answer = string | ((request: Asked) => string);

/** Dials once for each answer; what is refused must be so by a BadHandshakeError that says `why`. */
async function answered(
  answers: readonly Answer[],
  why: RegExp,
  options: DialerOptions = {},
): Promise<{ cases: number; opened: number; left: number; crash: number }> {
  const dials = new Dials();
  let left = 0;
  for (const answer of answers) {
    const server = new Answerer((end, request) => {
      end.write(typeof answer === 'string' ? answer : answer(request), 'latin1');
    });
    const dialer = new Dialer({ netDial: server.netDial, ...options });
    await dials.take(dialer.dial('ws://h/'));
    left += server.left;
  }
  // What a refused connection might still do, it does within some turns.
  for (let i = 0; i < 5; i++) await turn();
  for (const error of dials.errors) expect(error.message).toMatch(why);
  const { opened, errors } = dials;
  const crash = errors.filter((error) => !(error instanceof BadHandshakeError)).length;
  return { cases: opened + errors.length, opened, left, crash };
}

/** A head with another accept line, or lines, in place of the right one. */
const accepts =
  (lines: (accept: string) => readonly string[]) =>
  ({ ok, accept }: Asked): string => {
    const others = lines(accept).map((value) => `Sec-WebSocket-Accept: ${value}\r\n`);
    return ok().replace(`Sec-WebSocket-Accept: ${accept}\r\n`, others.join(''));
  };

/** Dials a server whose answer has no end; weighs what is held once the dial has failed, its error included. */
async function gaveUp(
  start: string,
  more: Uint8Array,
  watch: Watch,
): Promise<{ opened: number; body: number }> {
  const dials = new Dials();
  const server = new Answerer((end) => {
    end.write(start);
    endlessly(end, more, watch);
  });
  await dials.take(new Dialer({ netDial: server.netDial }).dial('ws://h/'));
  expect(server.left).toBe(0);
  server.streams.length = 0;
  const [error] = dials.errors;
  expect(error).toBeInstanceOf(BadHandshakeError);
  // Until it is asked for, V8 keeps all that was on the stack.
  expect(error?.stack).toContain(error?.message);
  // Each of these heads or bodies is as large as may be: one of them tells for all.
  if (more.length === HUGE) watch.weigh();
  return { opened: dials.opened, body: (error as BadHandshakeError).body.length };
}

describe('a client', () => {
  it('opens for no accept but the right one, once', async () => {
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
    const { cases } = await survives(
      36,
      await warm(() => answered(wrong, /Sec-WebSocket-Accept/), 5),
    );
    expect(cases).toBe(wrong.length);
    expect(await answered([accepts((right) => [right])], /never/)).toMatchObject({ opened: 1 });
  });

  it('opens for no extension or subprotocol that it has not asked for', async () => {
    const extension = (value: string) => (request: Asked) =>
      request.ok(`Sec-WebSocket-Extensions: ${value}\r\n`);
    const protocol = (value: string) => (request: Asked) =>
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
    const { cases } = await survives(37, async () => {
      const one = await answered(unasked, /was not offered/);
      const many = await answered(others, /Sec-WebSocket-/, {
        compression: true,
        subprotocols: ['a', 'b'],
      });
      return { cases: one.cases + many.cases, opened: one.opened + many.opened };
    });
    expect(cases).toBe(unasked.length + others.length);
  });

  it('opens for no window bits that zlib does not have, and none reach zlib', async () => {
    const bits = [
      '16',
      '1000',
      '7',
      'x',
      '',
      '0',
      '-1',
      '08',
      '015',
      '1e1',
      '"16"',
      '15.0',
      'true',
    ];
    const names = ['server_max_window_bits', 'client_max_window_bits'];
    const answers = names.flatMap((name) =>
      [...bits.map((value) => `=${value}`), ...(name.startsWith('server') ? [''] : [])].map(
        (value) => (request: Asked) =>
          request.ok(`Sec-WebSocket-Extensions: permessage-deflate; ${name}${value}\r\n`) +
          // A compressed message that would be inflated at once.
          '\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00',
      ),
    );
    const { cases } = await survives(38, () =>
      answered(answers, /Sec-WebSocket-Extensions/, { compression: true }),
    );
    expect(cases).toBe(answers.length);
  });

  it('gives an answer without end up', async () => {
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
    const opens = async (answer: Answering): Promise<boolean> => {
      const dials = new Dials();
      await dials.take(new Dialer({ netDial: new Answerer(answer).netDial }).dial('ws://h/'));
      return dials.opened === 1;
    };
    await survives(39, async (watch: Watch) => {
      const ends: { opened: number; body: number }[] = [];
      for (const [start, more] of endless) ends.push(await gaveUp(start, more, watch));
      const opened = ends.reduce((sum, end) => sum + end.opened, 0);
      const body = Math.max(...ends.map((end) => end.body));
      // The largest of these that were taken: one within the bound, and one beyond it.
      let head = 0;
      for (const size of [16_000, 16_385]) {
        const answer: Answering = (end, { ok }) => {
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

  it('tells of a refusal what it needs to know', async () => {
    const answer = (status: number): string =>
      `HTTP/1.1 ${status} No\r\nX-Why: ${status}\r\nContent-Length: 5000\r\n\r\n${'why '.repeat(1250)}`;
    await survives(43, async () => {
      const statuses: number[] = [];
      let body = 0;
      for (const status of [401, 407, 403, 503]) {
        const server = new Answerer(answer(status));
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
