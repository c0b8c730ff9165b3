// What a client offers: extensions and subprotocols.
import { negotiateDeflate, parseExtensions, parseSubprotocols } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { survives, threadTime, type Watch } from '../../src/hostile/index.ts';
import { collectGarbage, turn } from '../../src/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';
import {
  type Attacked,
  ask,
  askAll,
  attacked,
  common,
  crashes,
  type Reply,
  statusOf,
} from './asking.ts';

const PMD = 'permessage-deflate';
const COMPRESSION = { threshold: 0 } as const;

const extended = (...offers: string[]): { add: string[] } => ({
  add: offers.map((offer) => `Sec-WebSocket-Extensions: ${offer}`),
});
const extensionsOf = ({ headers }: Reply): string => headers.get('sec-websocket-extensions') ?? '';
const protocolOf = ({ headers }: Reply): string => headers.get('sec-websocket-protocol') ?? '';

/** CPU time of the dearest of `texts`, in ms: the cheapest of several runs of `read`, each in a turn of its own. */
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

/** The same text at the longest that is read, and at what a head has room for. */
const atLimits = (text: (length: number) => string): string[] => [text(4_096), text(15_900)];

describe('a client that offers', () => {
  nothingLeft();

  it('extensions and subprotocols on several lines gets one result of each', async () => {
    const target = await attacked({ compression: COMPRESSION, subprotocols: ['chat'] });
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
    await survives(11, async (watch) => {
      const reply = await ask(watch, target, { add }, { weigh: true });
      const count = (name: string): number =>
        reply.names.filter((each) => each.toLowerCase() === name).length;
      return {
        status: reply.status,
        results: common([count('sec-websocket-extensions'), count('sec-websocket-protocol')]),
        protocol: protocolOf(reply),
        extension: extensionsOf(reply).split(';')[0],
      };
    });
  });

  it('names of the prototype is declined, and changes nothing', async () => {
    const target = await attacked({ compression: COMPRESSION, subprotocols: ['chat'] });
    const names = ['__proto__', 'constructor', 'hasOwnProperty', 'prototype', 'toString'];
    const changes = names.flatMap((name) => [
      extended(`${name}; x=1`),
      extended(`${PMD}; ${name}=1`),
      extended(`${PMD}; ${name}; x`),
      extended(`${name}; ${name}=${name}`),
      { add: [`Sec-WebSocket-Protocol: ${name}`] },
    ]);
    const own = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));
    await survives(12, async (watch) => {
      const replies = await askAll(watch, target, changes);
      const after = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));
      return {
        status: statusOf(replies),
        answered: common(replies.map((reply) => extensionsOf(reply) + protocolOf(reply))),
        x: String(({} as { x?: unknown }).x),
        polluted: after === own ? 0 : 1,
        crashes: await crashes(target),
      };
    });
  });

  it('an extension whose text would take a backtracking parser for ever', async () => {
    const target = await attacked({ compression: COMPRESSION });
    const texts = [
      ...atLimits((length) => `a; b="${'\\c'.repeat((length - 6) / 2)}`),
      ...atLimits((length) => `a; b="${'c'.repeat(length - 6)}`),
      ...atLimits((length) => `a${' '.repeat(length - 2)}b`),
      ...atLimits((length) => ';'.repeat(length)),
      ...atLimits((length) => `a${'; b'.repeat(length / 3 - 1)}=`),
    ];
    await survives(13, async (watch) => {
      const replies = await askAll(
        watch,
        target,
        texts.map((text) => extended(text)),
      );
      return { status: statusOf(replies), ms: await dearest(texts, parseExtensions) };
    });
  });

  it('a subprotocol whose text would take a backtracking parser for ever', async () => {
    const target = await attacked({ subprotocols: ['b'] });
    const texts = [
      `b${' '.repeat(15_000)}x`,
      ...atLimits((length) => `b${' '.repeat(length - 2)}x`),
      ...atLimits((length) => `b${' \t'.repeat(length / 2 - 1)}x`),
      ...atLimits((length) => `${'b '.repeat(length / 2)}`),
      ...atLimits((length) => `${' ,'.repeat(length / 2 - 1)}"`),
    ];
    await survives(14, async (watch) => {
      const replies = await askAll(
        watch,
        target,
        texts.map((text) => ({ add: [`Sec-WebSocket-Protocol: ${text};`] })),
      );
      return { status: statusOf(replies), ms: await dearest(texts, parseSubprotocols) };
    });
  });

  it('more extensions than anybody has is refused, sixteen are looked at', async () => {
    const target = await attacked({ compression: COMPRESSION });
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
    await survives(15, async (watch) => {
      const [first, ...rest] = await askAll(watch, target, [
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

  it('parameters that RFC 7692 does not know goes without compression', async () => {
    const target = await attacked({ compression: COMPRESSION });
    const parameters = [
      'server_max_window_bits=7',
      'server_max_window_bits=16',
      'server_max_window_bits=08',
      'server_max_window_bits=1e1',
      'server_max_window_bits',
      'server_max_window_bits=true',
      'server_max_window_bits=-1',
      'server_max_window_bits=10; server_max_window_bits=10',
      'client_max_window_bits=7',
      'client_max_window_bits=16',
      'client_max_window_bits=99999999999999999999',
      'client_max_window_bits; client_max_window_bits',
      'client_no_context_takeover=1',
      'server_no_context_takeover=true',
      'server_no_context_takeover; server_no_context_takeover',
      'window_bits=10',
      '__proto__=10',
    ];
    const offers = [
      ...parameters.map((each) => `${PMD}; ${each}`),
      'x-webkit-deflate-frame; server_max_window_bits=10',
      'Permessage-Deflate; server_max_window_bits=10',
    ];
    await survives(16, async (watch) => {
      const alone = await askAll(
        watch,
        target,
        offers.map((offer) => extended(offer)),
      );
      // An offer that is declined does not decline the next one.
      const next = await askAll(
        watch,
        target,
        offers.map((offer) => extended(offer, PMD)),
      );
      // What is no value at all is no header of RFC 6455, section 9.1.
      const empty = await ask(watch, target, extended(`${PMD}; server_max_window_bits=""`));
      return {
        cases: alone.length,
        status: statusOf([...alone, ...next]),
        declined:
          alone.filter((reply) => extensionsOf(reply) === '').length === alone.length
            ? 'declined'
            : 'taken',
        next: common(next.map((reply) => extensionsOf(reply).split(';')[0])),
        empty: empty.status,
      };
    });
  });

  it('subprotocols that nobody has listed is told of none', async () => {
    const target = await attacked({ subprotocols: ['chat'] });
    const unlisted = await attacked();
    const names = ['evil', 'evil, worse', 'Chat', 'chats', 'toString'];
    const offered = (name: string): { add: string[] } => ({
      add: [`Sec-WebSocket-Protocol: ${name}`],
    });
    const answer = async (watch: Watch, to: Attacked): Promise<Reply[]> =>
      askAll(watch, to, names.map(offered));
    await survives(28, async (watch) => {
      const replies = [...(await answer(watch, target)), ...(await answer(watch, unlisted))];
      const script = await askAll(watch, target, ['<script>', 'chat, <script>'].map(offered));
      const raw = [...replies, ...script].map((reply) => reply.raw).join('');
      return {
        status: statusOf(replies),
        selected: common(replies.map(protocolOf)),
        script: statusOf(script),
        reflected: /evil|worse|script|chat/i.test(raw) ? 1 : 0,
      };
    });
    expect(target.reported).toEqual([]);
  });
});

/** Bytes that an agreement holds for each offer of which it was made. */
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
  // Strings of their own, so that what is kept of one would show.
  const many = heldBy(() => Buffer.from(text).toString('latin1'));
  const one = heldBy(() => Buffer.from(text.slice(text.lastIndexOf(',') + 1)).toString('latin1'));
  return (many - one) / kept.length / offers;
}
