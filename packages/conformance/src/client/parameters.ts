import { Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import { letters, noise, utf8 } from '../wire/bytes.ts';
import { closeCleanly, wantFailure, wantMessage } from '../wire/expect.ts';
import { BINARY, RSV1, TEXT } from '../wire/frame.ts';
import type { Extension } from '../wire/head.ts';
import type { Peer } from '../wire/peer.ts';
import { plus, refused } from './answer.ts';

const SERVER_TAKEOVER = 'server_no_context_takeover';
const CLIENT_TAKEOVER = 'client_no_context_takeover';
const SERVER_BITS = 'server_max_window_bits';
const CLIENT_BITS = 'client_max_window_bits';
const TAKEOVERS = [SERVER_TAKEOVER, CLIENT_TAKEOVER];
const BITS = [SERVER_BITS, CLIENT_BITS];
const ALL_BITS = [8, 9, 10, 11, 12, 13, 14, 15];

/** Chapter 13 for clients: the parameters they offer, and what they make of those that a server answers with. */
export function parameters(): Chapter<ClientAttempt> {
  const chapter = new Chapter<ClientAttempt>(13);
  offer(chapter);
  agreed(chapter);
  windows(chapter);
  invalid(chapter);
  notOurs(chapter);
  malformed(chapter);
  return chapter;
}

/** The client's offers; a client without compression is not asked further. */
function offersOf(attempt: ClientAttempt): readonly [Extension, ...Extension[]] {
  const [first, ...more] = attempt.deflateOffers;
  if (first === undefined) attempt.skip('the client offers no permessage-deflate');
  return [first, ...more];
}

function offer(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1',
    expects: 'an offer that keeps the rule',
  });
  const check = (
    title: string,
    fault: (params: Extension['params']) => string | undefined,
    section = 'RFC 7692, 7.1',
  ): void =>
    add(
      title,
      async (attempt) => {
        for (const { params } of offersOf(attempt)) {
          const found = fault(params);
          if (found !== undefined) throw new Violation(found);
        }
        await closeCleanly(await attempt.open());
      },
      { section },
    );
  check('an offer has no unknown parameter', (params) => {
    const strange = params.find(([name]) => ![...TAKEOVERS, ...BITS].includes(name));
    return strange === undefined ? undefined : `${strange[0]} is unknown`;
  });
  check('an offer has each parameter once', (params) => {
    const names = params.map(([name]) => name);
    return new Set(names).size === names.length ? undefined : names.join('; ');
  });
  for (const takeover of TAKEOVERS) {
    check(
      `${takeover}, if offered, has no value`,
      (params) => {
        const value = params.find(([name]) => name === takeover)?.[1];
        return value === undefined ? undefined : `it has ${value}`;
      },
      'RFC 7692, 7.1.1',
    );
  }
  for (const bits of BITS) {
    check(
      `${bits}, if offered, is a number from 8 to 15${bits === CLIENT_BITS ? ', or has no value' : ''}`,
      (params) => {
        const [, value] = params.find(([name]) => name === bits) ?? [bits, '15'];
        if (value === undefined && bits === CLIENT_BITS) return undefined;
        return /^(?:[89]|1[0-5])$/.test(value ?? '') ? undefined : `it is ${value ?? 'empty'}`;
      },
      'RFC 7692, 7.1.2',
    );
  }
}

/** Messages that compress well by what went before, both ways; each is judged as it comes back. */
async function converse(peer: Peer, sizes: readonly number[] = [40, 400, 4000]): Promise<void> {
  for (const size of sizes) {
    for (let time = 0; time < 2; time++) {
      const payload = letters(size);
      await peer.sendFrames({
        opcode: TEXT,
        payload: peer.compressor.compress(payload),
        rsv: RSV1,
      });
      await wantMessage(peer, TEXT, payload);
    }
  }
  await closeCleanly(peer);
}

function agreed(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1',
    expects: 'the connection opens, and messages are compressed as it was agreed on',
  });
  const answers: readonly (readonly [string, readonly string[]])[] = [
    ['permessage-deflate and no more than was asked for', []],
    [SERVER_TAKEOVER, [SERVER_TAKEOVER]],
    [CLIENT_TAKEOVER, [CLIENT_TAKEOVER]],
    ['both, the server’s first', [SERVER_TAKEOVER, CLIENT_TAKEOVER]],
    ['both, the client’s first', [CLIENT_TAKEOVER, SERVER_TAKEOVER]],
    [`${SERVER_BITS}=15`, [`${SERVER_BITS}=15`]],
    [`${SERVER_BITS}="10" in quotes`, [`${SERVER_BITS}="10"`]],
    [`${SERVER_BITS}=10 and both others`, [`${SERVER_BITS}=10`, SERVER_TAKEOVER, CLIENT_TAKEOVER]],
  ];
  for (const [title, params] of answers) {
    add(`the answer: ${title}`, async (attempt) => {
      limitFits(attempt, params);
      await converse(await attempt.acceptDeflate(params));
    });
  }
  add('the answer without spaces', async (attempt) => {
    await agreedAs(attempt, (words) => words.replaceAll('; ', ';'));
  });
  add('the answer with spaces and tabs around its separators', async (attempt) => {
    await agreedAs(attempt, (words) => words.replaceAll('; ', ' \t;\t '));
  });
  add(
    'the answer with an empty element behind it',
    async (attempt) => {
      await agreedAs(attempt, (words) => `${words},`);
    },
    { section: 'RFC 9110, 5.6.1', level: 'should' },
  );
  add('no compression: messages are plain in both ways', async (attempt) => {
    offersOf(attempt);
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: TEXT, payload: letters(4000) });
    await wantMessage(peer, TEXT, letters(4000));
    await closeCleanly(peer);
  });
}

/** Accepts without takeover, in other words that say the same. */
async function agreedAs(attempt: ClientAttempt, say: (words: string) => string): Promise<void> {
  await converse(await attempt.acceptDeflate([SERVER_TAKEOVER, CLIENT_TAKEOVER], { say }));
}

/** An answer must not promise the client a larger window than it has asked for. */
function limitFits(attempt: ClientAttempt, params: readonly string[]): void {
  const asked = offersOf(attempt)[0].params.find(([name]) => name === SERVER_BITS)?.[1];
  const answered = params.find((param) => param.startsWith(SERVER_BITS));
  if (asked !== undefined && answered !== undefined) {
    attempt.skip(`the client asks for ${SERVER_BITS}=${asked} itself`);
  }
}

function windows(chapter: Chapter<ClientAttempt>): void {
  const expects = 'the connection opens, and no message reaches back further than the window';
  const server = chapter.section({ section: 'RFC 7692, 7.1.2.1', expects });
  for (const bits of ALL_BITS) {
    server(`the answer: ${SERVER_BITS}=${bits}`, async (attempt) => {
      limitFits(attempt, [`${SERVER_BITS}=${bits}`]);
      // zlib has no window of 256 bytes; what is shorter than that reaches no further back.
      const own = bits === 8;
      const params = [`${SERVER_BITS}=${bits}`, ...(own ? [SERVER_TAKEOVER] : [])];
      await converse(await attempt.acceptDeflate(params), own ? [40, 200] : undefined);
    });
  }
  for (const takeover of [true, false]) {
    const client = chapter.section({ section: 'RFC 7692, 7.1.2.2', expects });
    for (const bits of ALL_BITS) {
      const also = takeover ? '' : ` and ${CLIENT_TAKEOVER}`;
      client(`the answer: ${CLIENT_BITS}=${bits}${also}`, async (attempt) => {
        offersClientBits(attempt, bits);
        const params = [`${CLIENT_BITS}=${bits}`, ...(takeover ? [] : [CLIENT_TAKEOVER])];
        const peer = await attempt.acceptDeflate(params);
        // What does not compress but by a match from the window's size and more back.
        const piece = noise(2 ** bits - 100);
        const payload = Buffer.concat([piece, letters(300), piece, letters(40_000), piece]);
        for (let time = 0; time < 2; time++) {
          await peer.sendFrames({ opcode: BINARY, payload });
          await wantMessage(peer, BINARY, payload);
        }
        await closeCleanly(peer);
      });
    }
  }
}

function offersClientBits(attempt: ClientAttempt, bits: number): void {
  const [, limit = '15'] = offersOf(attempt)[0].params.find(([name]) => name === CLIENT_BITS) ?? [];
  if (!offersOf(attempt)[0].params.some(([name]) => name === CLIENT_BITS)) {
    attempt.skip(`the client does not offer ${CLIENT_BITS}`);
  }
  if (bits > Number(limit)) attempt.skip(`the client offers ${CLIENT_BITS}=${limit}`);
}

function invalid(chapter: Chapter<ClientAttempt>): void {
  const expects = 'the connection does not open, and ends';
  for (const bits of BITS) {
    const add = chapter.section({ section: 'RFC 7692, 7.1 and 7.1.2', expects });
    for (const [title, value] of [
      ['without a value', ''],
      ['=7', '=7'],
      ['=16', '=16'],
      ['=0', '=0'],
      ['=08', '=08'],
      ['=1', '=1'],
      ['=150', '=150'],
      ['=10.5', '=10.5'],
      ['=+10', '=+10'],
      ['=-10', '=-10'],
      ['=0xa', '=0xa'],
      ['=ten', '=ten'],
      ['="7"', '="7"'],
    ] as const) {
      add(`the answer: ${bits}${title === 'without a value' ? ` ${title}` : title}`, (attempt) =>
        refusedAnswer(attempt, `; ${bits}${value}`),
      );
    }
  }
  const add = chapter.section({ section: 'RFC 7692, 7.1 and 7.1.1', expects });
  for (const takeover of TAKEOVERS) {
    for (const value of ['1', 'true', '"true"', 'false']) {
      add(`the answer: ${takeover}=${value}`, (attempt) =>
        refusedAnswer(attempt, `; ${takeover}=${value}`),
      );
    }
  }
  const twice = chapter.section({ section: 'RFC 7692, 7.1', expects });
  for (const param of [...TAKEOVERS, `${SERVER_BITS}=10`, `${CLIENT_BITS}=10`]) {
    twice(`the answer: ${param}, twice`, (attempt) =>
      refusedAnswer(attempt, `; ${param}; ${param}`),
    );
  }
  twice(`the answer: ${SERVER_BITS} with two values`, (attempt) =>
    refusedAnswer(attempt, `; ${SERVER_BITS}=10; ${SERVER_BITS}=11`),
  );
  for (const param of ['unheard_of', 'unheard_of=1', 'server_max_window_bit=10', 'mem_level=8']) {
    twice(`the answer: ${param}, which is no parameter`, (attempt) =>
      refusedAnswer(attempt, `; ${param}`),
    );
  }
}

/** An answer of permessage-deflate and what makes it wrong. */
async function refusedAnswer(attempt: ClientAttempt, wrong: string): Promise<void> {
  offersOf(attempt);
  await refused(attempt, plus(`Sec-WebSocket-Extensions: permessage-deflate${wrong}`)(attempt));
}

function notOurs(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1',
    expects: 'the connection does not open: the answer is none to what was offered',
  });
  add(
    `the answer: ${CLIENT_BITS}=10, which was not offered`,
    async (attempt) => {
      if (offersOf(attempt).some(({ params }) => params.some(([name]) => name === CLIENT_BITS))) {
        attempt.skip(`the client offers ${CLIENT_BITS}`);
      }
      await refusedAnswer(attempt, `; ${CLIENT_BITS}=10`);
    },
    { section: 'RFC 7692, 7.1.2.2' },
  );
  add(
    `the answer: no ${SERVER_TAKEOVER}, which was asked for`,
    async (attempt) => {
      if (!offersOf(attempt).every(({ params }) => params.some(([n]) => n === SERVER_TAKEOVER))) {
        attempt.skip(`the client does not ask for ${SERVER_TAKEOVER}`);
      }
      await refusedAnswer(attempt, '');
    },
    { section: 'RFC 7692, 7.1.1.1' },
  );
  add(
    `the answer: a larger ${SERVER_BITS} than was asked for`,
    async (attempt) => {
      const asked = offersOf(attempt).map(
        ({ params }) => params.find(([name]) => name === SERVER_BITS)?.[1] ?? '15',
      );
      if (asked.includes('15')) attempt.skip(`the client does not ask for ${SERVER_BITS}`);
      await refusedAnswer(attempt, `; ${SERVER_BITS}=15`);
    },
    { section: 'RFC 7692, 7.1.2.1' },
  );
  add(
    'permessage-deflate twice',
    async (attempt) => {
      offersOf(attempt);
      await refusedAnswer(attempt, ', permessage-deflate');
    },
    { section: 'RFC 7692, 5' },
  );
  add(
    'permessage-deflate and an extension that nobody has offered',
    (attempt) => refusedAnswer(attempt, ', x-unheard-of'),
    { section: 'RFC 6455, 9.1' },
  );
  add(
    'an extension that nobody has offered, and permessage-deflate',
    async (attempt) => {
      offersOf(attempt);
      const value = 'x-unheard-of, permessage-deflate';
      await refused(attempt, plus(`Sec-WebSocket-Extensions: ${value}`)(attempt));
    },
    { section: 'RFC 6455, 9.1' },
  );
}

function malformed(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 9.1',
    expects: 'the connection does not open: the answer is no list of extensions',
  });
  for (const [title, wrong] of [
    ['a semicolon at its end', ';'],
    ['two semicolons', `;; ${SERVER_TAKEOVER}`],
    ['a value of the extension itself', '=1'],
    ['a value that is missing', `; ${SERVER_BITS}=`],
    ['a quote without its end', `; ${SERVER_BITS}="10`],
    ['a value with a space', `; ${SERVER_BITS}="1 0"`],
    ['an empty quoted value', `; ${SERVER_BITS}=""`],
    ['no semicolon', ` ${SERVER_TAKEOVER}`],
  ] as const) {
    add(`the answer: permessage-deflate with ${title}`, (attempt) => refusedAnswer(attempt, wrong));
  }
  add(
    'a compressed message where the offer was declined',
    async (attempt) => {
      offersOf(attempt);
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: TEXT, payload: utf8('not packed'), rsv: RSV1 });
      await wantFailure(peer, [1002], 'RSV1 is set, and no extension was agreed on');
    },
    { section: 'RFC 6455, 5.2', expects: 'the connection is failed with 1002' },
  );
}
