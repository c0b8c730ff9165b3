import { negotiateDeflate, parseExtensions, parseSubprotocols } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { collectGarbage, turn } from '../kit/index.ts';
import { nothingLeft } from '../peers/index.ts';
import {
  atLeast,
  atMost,
  claim,
  lowestAtMost,
  survives,
  threadTime,
  type Watch,
} from './harness/index.ts';
import {
  commonValue,
  crashes,
  type Reply,
  sendRequest,
  sendRequests,
  statusOf,
  type TargetServer,
  targetServer,
} from './target-server.ts';

const PMD = 'permessage-deflate';
const COMPRESSION = { threshold: 0 } as const;

const extended = (...offers: string[]): { add: string[] } => ({
  add: offers.map((offer) => `Sec-WebSocket-Extensions: ${offer}`),
});
const extensionsOf = ({ headers }: Reply): string => headers.get('sec-websocket-extensions') ?? '';
const protocolOf = ({ headers }: Reply): string => headers.get('sec-websocket-protocol') ?? '';

/** Returns the CPU time of the slowest text in ms. Each text counts with its fastest run. */
async function dearest(texts: readonly string[], read: (text: string) => unknown): Promise<number> {
  const costs: number[] = [];
  for (const text of texts) {
    let least = Infinity;
    for (let run = 0; run < 20; run++) {
      await turn();
      const before = threadTime();
      read(text);
      least = Math.min(least, threadTime() - before);
    }
    costs.push(least);
  }
  return Math.max(...costs);
}

/** Measured: 0.01 to 0.15 ms. A parser that backtracks needs 10 ms for 4 kB, 150 ms for 16 kB. */
const MS_EACH = 5;

/** Returns the text at the longest accepted length, and at the longest that fits into a head. */
const atLimits = (text: (length: number) => string): string[] => [text(4_096), text(15_900)];

describe('a client that offers', () => {
  nothingLeft();

  it('extensions and subprotocols on several lines gets one result of each', async () => {
    const target = await targetServer({ compression: COMPRESSION, subprotocols: ['chat'] });
    const add = [
      ...extended(
        `${PMD}; server_max_window_bits=7`,
        'x-other',
        PMD,
        `${PMD}; client_max_window_bits`,
      ).add,
      'Sec-WebSocket-Protocol: evil',
      'Sec-WebSocket-Protocol: other, chat',
    ];
    const attack = claim(
      'extensions and subprotocols on several lines',
      'RFC 6455, 4.2.1 and 11.3',
    );
    const bound = { status: 101, results: 1, protocol: 'chat', extension: 'permessage-deflate' };
    await survives(attack, bound, async (watch) => {
      const reply = await sendRequest(watch, target, { add }, { weigh: true });
      const count = (name: string): number =>
        reply.names.filter((each) => each.toLowerCase() === name).length;
      return {
        status: reply.status,
        results: commonValue([count('sec-websocket-extensions'), count('sec-websocket-protocol')]),
        protocol: protocolOf(reply),
        extension: extensionsOf(reply).split(';')[0],
      };
    });
  });

  it('names of Object.prototype is declined, and changes no prototype', async () => {
    const target = await targetServer({ compression: COMPRESSION, subprotocols: ['chat'] });
    const names = ['__proto__', 'constructor', 'hasOwnProperty', 'prototype', 'toString'];
    const changes = names.flatMap((name) => [
      extended(`${name}; x=1`),
      extended(`${PMD}; ${name}=1`),
      extended(`${PMD}; ${name}; x`),
      extended(`${name}; ${name}=${name}`),
      { add: [`Sec-WebSocket-Protocol: ${name}`] },
    ]);
    const own = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));
    const attack = claim(
      'names of Object.prototype as extensions, parameters and subprotocols',
      'CWE-1321',
    );
    const bound = { status: 101, answered: '', x: 'undefined', polluted: 0, crashes: 0 };
    await survives(attack, bound, async (watch) => {
      const replies = await sendRequests(watch, target, changes);
      const after = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));
      return {
        status: statusOf(replies),
        answered: commonValue(replies.map((reply) => extensionsOf(reply) + protocolOf(reply))),
        x: String(({} as { x?: unknown }).x),
        polluted: after === own ? 0 : 1,
        crashes: await crashes(target),
      };
    });
  });

  it('an extension for a backtracking parser is refused in linear time', async () => {
    const target = await targetServer({ compression: COMPRESSION });
    const texts = [
      ...atLimits((length) => `a; b="${'\\c'.repeat((length - 6) / 2)}`),
      ...atLimits((length) => `a; b="${'c'.repeat(length - 6)}`),
      ...atLimits((length) => `a${' '.repeat(length - 2)}b`),
      ...atLimits((length) => ';'.repeat(length)),
      ...atLimits((length) => `a${'; b'.repeat(length / 3 - 1)}=`),
    ];
    const attack = claim('an extension header for a backtracking parser', 'CVE-2020-7662');
    await survives(attack, { status: 400, ms: lowestAtMost(MS_EACH) }, async (watch) => {
      const replies = await sendRequests(
        watch,
        target,
        texts.map((text) => extended(text)),
      );
      return { status: statusOf(replies), ms: await dearest(texts, parseExtensions) };
    });
  });

  it('a subprotocol for a backtracking parser is refused in linear time', async () => {
    const target = await targetServer({ subprotocols: ['b'] });
    const texts = [
      `b${' '.repeat(15_000)}x`,
      ...atLimits((length) => `b${' '.repeat(length - 2)}x`),
      ...atLimits((length) => `b${' \t'.repeat(length / 2 - 1)}x`),
      ...atLimits((length) => `${'b '.repeat(length / 2)}`),
      ...atLimits((length) => `${' ,'.repeat(length / 2 - 1)}"`),
    ];
    const attack = claim('a subprotocol header for a backtracking parser', 'CVE-2021-32640');
    await survives(attack, { status: 400, ms: lowestAtMost(MS_EACH) }, async (watch) => {
      const replies = await sendRequests(
        watch,
        target,
        texts.map((text) => ({ add: [`Sec-WebSocket-Protocol: ${text};`] })),
      );
      return { status: statusOf(replies), ms: await dearest(texts, parseSubprotocols) };
    });
  });

  it('too many extensions is refused, after sixteen are read', async () => {
    const target = await targetServer({ compression: COMPRESSION });
    const bad = `${PMD}; server_max_window_bits=7`;
    const sixteen = [...Array(15).fill(bad), `${PMD}; server_max_window_bits=11`].join(',');
    const flood = Array(800).fill(PMD).join(',').slice(0, 15_900);
    const seventeen = [...Array(16).fill(bad), PMD].join(',');
    const texts = [sixteen, flood, seventeen, `${PMD},`.repeat(16)];
    const read = (text: string): unknown => {
      const offers = parseExtensions(text);
      return offers && negotiateDeflate(offers);
    };
    const kept = keptPerOffer(read, sixteen);
    const attack = claim('800 offers of permessage-deflate', 'RFC 6455, 9.1');
    const bound = { status: 400, fitting: 101, ms: lowestAtMost(MS_EACH), kept: atMost(8) };
    await survives(attack, bound, async (watch) => {
      const [first, ...rest] = await sendRequests(watch, target, [
        extended(sixteen),
        extended(flood),
        extended(...Array<string>(800).fill('a').slice(0, 400)),
        extended(seventeen),
      ]);
      return {
        fitting: /server_max_window_bits=11/.test(extensionsOf(first!)) ? first!.status : 0,
        status: statusOf(rest),
        ms: await dearest(texts, read),
        kept,
      };
    });
  });

  it('parameters that RFC 7692 does not define gets no compression', async () => {
    const target = await targetServer({ compression: COMPRESSION });
    const parameters = [
      ['7', '16', '08', '1e1', 'true', '-1'].map((bits) => `server_max_window_bits=${bits}`),
      ['7', '16', '9'.repeat(20)].map((bits) => `client_max_window_bits=${bits}`),
      'server_max_window_bits',
      'server_max_window_bits=10; server_max_window_bits=10',
      'client_max_window_bits; client_max_window_bits',
      'client_no_context_takeover=1',
      'server_no_context_takeover=true',
      'server_no_context_takeover; server_no_context_takeover',
      ['window_bits=10', '__proto__=10'],
    ].flat();
    const offers = [
      ...parameters.map((each) => `${PMD}; ${each}`),
      'x-webkit-deflate-frame; server_max_window_bits=10',
      'Permessage-Deflate; server_max_window_bits=10',
    ];
    // An empty quoted value does not match the grammar of RFC 6455, section 9.1: the status is
    // 400.
    const attack = claim('parameters that RFC 7692 does not define', 'RFC 7692, 7.1');
    const bound = {
      cases: atLeast(12),
      status: 101,
      declined: 'declined',
      next: 'permessage-deflate',
      empty: 400,
    };
    await survives(attack, bound, async (watch) => {
      const alone = await sendRequests(
        watch,
        target,
        offers.map((offer) => extended(offer)),
      );
      // A declined offer does not decline the next one.
      const next = await sendRequests(
        watch,
        target,
        offers.map((offer) => extended(offer, PMD)),
      );
      const empty = await sendRequest(watch, target, extended(`${PMD}; server_max_window_bits=""`));
      return {
        cases: alone.length,
        status: statusOf([...alone, ...next]),
        declined:
          alone.filter((reply) => extensionsOf(reply) === '').length === alone.length
            ? 'declined'
            : 'taken',
        next: commonValue(next.map((reply) => extensionsOf(reply).split(';')[0])),
        empty: empty.status,
      };
    });
  });

  it('unlisted subprotocols gets none', async () => {
    const target = await targetServer({ subprotocols: ['chat'] });
    const unlisted = await targetServer();
    const names = ['evil', 'evil, worse', 'Chat', 'chats', 'toString'];
    const offered = (name: string): { add: string[] } => ({
      add: [`Sec-WebSocket-Protocol: ${name}`],
    });
    const answer = async (watch: Watch, to: TargetServer): Promise<Reply[]> =>
      sendRequests(watch, to, names.map(offered));
    // `<script>` is not a token: the status is 400.
    const attack = claim('subprotocols that the server does not list', 'RFC 6455, 4.2.2');
    const bound = { status: 101, selected: '', script: 400, reflected: 0 };
    await survives(attack, bound, async (watch) => {
      const replies = [...(await answer(watch, target)), ...(await answer(watch, unlisted))];
      const script = await sendRequests(watch, target, ['<script>', 'chat, <script>'].map(offered));
      const raw = [...replies, ...script].map((reply) => reply.raw).join('');
      return {
        status: statusOf(replies),
        selected: commonValue(replies.map(protocolOf)),
        script: statusOf(script),
        reflected: /evil|worse|script|chat/i.test(raw) ? 1 : 0,
      };
    });
    expect(target.reported).toEqual([]);
  });
});

/** Returns the bytes that an agreement holds for each offer. */
function keptPerOffer(read: (text: string) => unknown, text: string): number {
  const offers = text.split(',').length;
  const kept: unknown[] = Array.from({ length: 2_000 }, () => undefined);
  const heldBy = (make: () => string): number => {
    kept.fill(undefined);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < kept.length; i++) kept[i] = read(make());
    collectGarbage();
    return process.memoryUsage().heapUsed - before;
  };
  heldBy(() => Buffer.from(text).toString('latin1'));
  // Separate strings, so that a kept substring shows.
  const many = heldBy(() => Buffer.from(text).toString('latin1'));
  const one = heldBy(() => Buffer.from(text.slice(text.lastIndexOf(',') + 1)).toString('latin1'));
  return (many - one) / kept.length / offers;
}
