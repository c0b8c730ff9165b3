import type { ClientAttempt } from '../attempts/client-attempt.ts';
import { sendBeyondWindow } from '../chapters/compressed.ts';
import { addCompressed } from '../chapters/rows.ts';
import { thousands } from '../chapters/thousand-messages.ts';
import { type AddCase, Chapter } from '../model/chapter.ts';
import { Violation } from '../model/verdicts.ts';
import { json, slices } from '../tables/real-data.ts';
import { letters, noise, utf8 } from '../wire/bytes.ts';
import { closeCleanly, expectFailure, expectMessage, type SentMessage } from '../wire/expect.ts';
import { BINARY, RSV1, TEXT } from '../wire/frame.ts';
import type { Extension } from '../wire/head.ts';
import type { Peer } from '../wire/peer.ts';
import { expectRefused, withLines } from './answer.ts';

const SERVER_TAKEOVER = 'server_no_context_takeover';
const CLIENT_TAKEOVER = 'client_no_context_takeover';
const SERVER_BITS = 'server_max_window_bits';
const CLIENT_BITS = 'client_max_window_bits';
const TAKEOVERS = [SERVER_TAKEOVER, CLIENT_TAKEOVER];
const BITS = [SERVER_BITS, CLIENT_BITS];
const ALL_BITS = [8, 9, 10, 11, 12, 13, 14, 15];

/**
 * Creates chapter 13 for clients: their offered parameters, and their reaction to answered ones.
 */
export function parameters(): Chapter<ClientAttempt> {
  const chapter = new Chapter<ClientAttempt>(13);
  offer(chapter);
  agreed(chapter);
  windows(chapter);
  invalid(chapter);
  takeoverValues(chapter);
  repeatedOrUnknown(chapter);
  notOffered(chapter);
  malformed(chapter);
  settings(chapter);
  beyondWindow(chapter);
  thousandsBySetting(chapter);
  return chapter;
}

/** Returns the client's offers. Skips the case when there are none. */
function offersOf(attempt: ClientAttempt): readonly [Extension, ...Extension[]] {
  const [first, ...more] = attempt.deflateOffers;
  if (first === undefined) attempt.skip('the client offers no permessage-deflate');
  return [first, ...more];
}

function offer(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1',
    expects: 'the offer follows the rule',
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
        return value === undefined ? undefined : `the value is ${value}`;
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
        return /^(?:[89]|1[0-5])$/.test(value ?? '')
          ? undefined
          : `the value is ${value ?? 'empty'}`;
      },
      'RFC 7692, 7.1.2',
    );
  }
}

/** Echoes messages that compress well with context takeover, and checks each. */
async function exchangeMessages(
  peer: Peer,
  sizes: readonly number[] = [40, 400, 4000],
): Promise<void> {
  for (const size of sizes) {
    for (let time = 0; time < 2; time++) {
      const payload = letters(size);
      await peer.sendFrames({
        opcode: TEXT,
        payload: peer.compressor.compress(payload),
        rsv: RSV1,
      });
      await expectMessage(peer, TEXT, payload);
    }
  }
  await closeCleanly(peer);
}

/** Valid answers, and the parameters of each. */
const ANSWERS: readonly (readonly [string, readonly string[]])[] = [
  ['permessage-deflate with only the requested parameters', []],
  [SERVER_TAKEOVER, [SERVER_TAKEOVER]],
  [CLIENT_TAKEOVER, [CLIENT_TAKEOVER]],
  ['both, the server parameter first', [SERVER_TAKEOVER, CLIENT_TAKEOVER]],
  ['both, the client parameter first', [CLIENT_TAKEOVER, SERVER_TAKEOVER]],
  [`${SERVER_BITS}=15`, [`${SERVER_BITS}=15`]],
  [`${SERVER_BITS}="10" in quotes`, [`${SERVER_BITS}="10"`]],
  [`${SERVER_BITS}=10 and both others`, [`${SERVER_BITS}=10`, SERVER_TAKEOVER, CLIENT_TAKEOVER]],
];

function agreed(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1',
    expects: 'the connection opens, and the client compresses as negotiated',
  });
  for (const [title, params] of ANSWERS) {
    add(`the answer: ${title}`, async (attempt) => {
      skipUnlessBitsFit(attempt, params);
      await exchangeMessages(await attempt.acceptDeflate(params));
    });
  }
  notations(add);
}

/** Adds cases with other notations of the answer, and one without compression. */
function notations(add: AddCase<ClientAttempt>): void {
  add('the answer without spaces', async (attempt) => {
    await acceptAs(attempt, (words) => words.replaceAll('; ', ';'));
  });
  add('the answer with spaces and tabs around its separators', async (attempt) => {
    await acceptAs(attempt, (words) => words.replaceAll('; ', ' \t;\t '));
  });
  add(
    'the answer with an empty last element',
    async (attempt) => {
      await acceptAs(attempt, (words) => `${words},`);
    },
    { section: 'RFC 9110, 5.6.1', level: 'should' },
  );
  add('no compression: both sides send plain messages', async (attempt) => {
    offersOf(attempt);
    const peer = await attempt.open();
    await peer.sendFrames({ opcode: TEXT, payload: letters(4000) });
    await expectMessage(peer, TEXT, letters(4000));
    await closeCleanly(peer);
  });
}

/** Accepts without context takeover, with a different notation of the answer. */
async function acceptAs(attempt: ClientAttempt, rewrite: (words: string) => string): Promise<void> {
  await exchangeMessages(
    await attempt.acceptDeflate([SERVER_TAKEOVER, CLIENT_TAKEOVER], { rewrite }),
  );
}

/** Skips the case when the client itself requests a server window. */
function skipUnlessBitsFit(attempt: ClientAttempt, params: readonly string[]): void {
  const asked = offersOf(attempt)[0].params.find(([name]) => name === SERVER_BITS)?.[1];
  const answered = params.find((param) => param.startsWith(SERVER_BITS));
  if (asked !== undefined && answered !== undefined) {
    attempt.skip(`the client requests ${SERVER_BITS}=${asked}`);
  }
}

function windows(chapter: Chapter<ClientAttempt>): void {
  const expects = 'the connection opens, and no match exceeds the window';
  const server = chapter.section({ section: 'RFC 7692, 7.1.2.1', expects });
  for (const bits of ALL_BITS) {
    server(`the answer: ${SERVER_BITS}=${bits}, and matches within the window`, async (attempt) => {
      skipUnlessBitsFit(attempt, [`${SERVER_BITS}=${bits}`]);
      // zlib has no window of 256 bytes. A shorter message without takeover cannot exceed it.
      const own = bits === 8;
      const params = [`${SERVER_BITS}=${bits}`, ...(own ? [SERVER_TAKEOVER] : [])];
      await exchangeMessages(await attempt.acceptDeflate(params), own ? [40, 200] : undefined);
    });
  }
  for (const takeover of [true, false]) {
    const client = chapter.section({ section: 'RFC 7692, 7.1.2.2', expects });
    for (const bits of ALL_BITS) {
      const also = takeover ? '' : ` and ${CLIENT_TAKEOVER}`;
      client(`the answer: ${CLIENT_BITS}=${bits}${also}`, async (attempt) => {
        skipUnlessClientBits(attempt, bits);
        const params = [`${CLIENT_BITS}=${bits}`, ...(takeover ? [] : [CLIENT_TAKEOVER])];
        const peer = await attempt.acceptDeflate(params);
        // Only matches beyond the window can compress this payload.
        const piece = noise(2 ** bits - 100);
        const payload = Buffer.concat([piece, letters(300), piece, letters(40_000), piece]);
        for (let time = 0; time < 2; time++) {
          await peer.sendFrames({ opcode: BINARY, payload });
          await expectMessage(peer, BINARY, payload);
        }
        await closeCleanly(peer);
      });
    }
  }
}

function skipUnlessClientBits(attempt: ClientAttempt, bits: number): void {
  const [, limit = '15'] = offersOf(attempt)[0].params.find(([name]) => name === CLIENT_BITS) ?? [];
  if (!offersOf(attempt)[0].params.some(([name]) => name === CLIENT_BITS)) {
    attempt.skip(`the client does not offer ${CLIENT_BITS}`);
  }
  if (bits > Number(limit)) attempt.skip(`the client offers ${CLIENT_BITS}=${limit}`);
}

const ENDS = 'the connection does not open, and ends';

/** Invalid values of a window size, as they follow its name. */
const BAD_BITS = [
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
] as const;

function invalid(chapter: Chapter<ClientAttempt>): void {
  for (const bits of BITS) {
    const add = chapter.section({ section: 'RFC 7692, 7.1 and 7.1.2', expects: ENDS });
    for (const [title, value] of BAD_BITS) {
      add(`the answer: ${bits}${title === 'without a value' ? ` ${title}` : title}`, (attempt) =>
        expectAnswerRefused(attempt, `; ${bits}${value}`),
      );
    }
  }
}

function takeoverValues(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({ section: 'RFC 7692, 7.1 and 7.1.1', expects: ENDS });
  for (const takeover of TAKEOVERS) {
    for (const value of ['1', 'true', '"true"', 'false']) {
      add(`the answer: ${takeover}=${value}`, (attempt) =>
        expectAnswerRefused(attempt, `; ${takeover}=${value}`),
      );
    }
  }
}

function repeatedOrUnknown(chapter: Chapter<ClientAttempt>): void {
  const twice = chapter.section({ section: 'RFC 7692, 7.1', expects: ENDS });
  for (const param of [...TAKEOVERS, `${SERVER_BITS}=10`, `${CLIENT_BITS}=10`]) {
    twice(`the answer: ${param}, twice`, (attempt) =>
      expectAnswerRefused(attempt, `; ${param}; ${param}`),
    );
  }
  twice(`the answer: ${SERVER_BITS} with two values`, (attempt) =>
    expectAnswerRefused(attempt, `; ${SERVER_BITS}=10; ${SERVER_BITS}=11`),
  );
  for (const param of ['unheard_of', 'unheard_of=1', 'server_max_window_bit=10', 'mem_level=8']) {
    twice(`the answer: ${param}, an unknown parameter`, (attempt) =>
      expectAnswerRefused(attempt, `; ${param}`),
    );
  }
}

/** Sends permessage-deflate with an invalid addition. Expects a rejection. */
async function expectAnswerRefused(attempt: ClientAttempt, wrong: string): Promise<void> {
  offersOf(attempt);
  await expectRefused(
    attempt,
    withLines(`Sec-WebSocket-Extensions: permessage-deflate${wrong}`)(attempt),
  );
}

function notOffered(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1',
    expects: 'the connection does not open: the answer does not fit the offer',
  });
  add(
    `the answer: ${CLIENT_BITS}=10, which was not offered`,
    async (attempt) => {
      if (offersOf(attempt).some(({ params }) => params.some(([name]) => name === CLIENT_BITS))) {
        attempt.skip(`the client offers ${CLIENT_BITS}`);
      }
      await expectAnswerRefused(attempt, `; ${CLIENT_BITS}=10`);
    },
    { section: 'RFC 7692, 7.1.2.2' },
  );
  add(
    `the answer: no ${SERVER_TAKEOVER}, which was requested`,
    async (attempt) => {
      if (!offersOf(attempt).every(({ params }) => params.some(([n]) => n === SERVER_TAKEOVER))) {
        attempt.skip(`the client does not request ${SERVER_TAKEOVER}`);
      }
      await expectAnswerRefused(attempt, '');
    },
    { section: 'RFC 7692, 7.1.1.1' },
  );
  add(
    `the answer: a larger ${SERVER_BITS} than requested`,
    async (attempt) => {
      const asked = offersOf(attempt).map(
        ({ params }) => params.find(([name]) => name === SERVER_BITS)?.[1] ?? '15',
      );
      if (asked.includes('15')) attempt.skip(`the client does not request ${SERVER_BITS}`);
      await expectAnswerRefused(attempt, `; ${SERVER_BITS}=15`);
    },
    { section: 'RFC 7692, 7.1.2.1' },
  );
  moreExtensions(add);
}

/** Adds answers with a second extension. */
function moreExtensions(add: AddCase<ClientAttempt>): void {
  add(
    'permessage-deflate twice',
    async (attempt) => {
      offersOf(attempt);
      await expectAnswerRefused(attempt, ', permessage-deflate');
    },
    { section: 'RFC 7692, 5' },
  );
  add(
    'permessage-deflate and an extension that was not offered',
    (attempt) => expectAnswerRefused(attempt, ', x-unheard-of'),
    { section: 'RFC 6455, 9.1' },
  );
  add(
    'an extension that was not offered, and permessage-deflate',
    async (attempt) => {
      offersOf(attempt);
      const value = 'x-unheard-of, permessage-deflate';
      await expectRefused(attempt, withLines(`Sec-WebSocket-Extensions: ${value}`)(attempt));
    },
    { section: 'RFC 6455, 9.1' },
  );
}

/** Malformed continuations of permessage-deflate in an answer. */
const MALFORMED = [
  ['a trailing semicolon', ';'],
  ['two semicolons', `;; ${SERVER_TAKEOVER}`],
  ['a value of the extension name', '=1'],
  ['a missing value', `; ${SERVER_BITS}=`],
  ['an unclosed quote', `; ${SERVER_BITS}="10`],
  ['a value with a space', `; ${SERVER_BITS}="1 0"`],
  ['an empty quoted value', `; ${SERVER_BITS}=""`],
  ['no semicolon', ` ${SERVER_TAKEOVER}`],
] as const;

function malformed(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 9.1',
    expects: 'the connection does not open: the extension list is malformed',
  });
  for (const [title, wrong] of MALFORMED) {
    add(`the answer: permessage-deflate with ${title}`, (attempt) =>
      expectAnswerRefused(attempt, wrong),
    );
  }
  declined(add);
}

/** Adds a compressed message without negotiated compression. */
function declined(add: AddCase<ClientAttempt>): void {
  add(
    'a compressed message after a declined offer',
    async (attempt) => {
      offersOf(attempt);
      const peer = await attempt.open();
      await peer.sendFrames({ opcode: TEXT, payload: utf8('not packed'), rsv: RSV1 });
      await expectFailure(peer, [1002], 'RSV1 is set, but no extension was negotiated');
    },
    { section: 'RFC 6455, 5.2', expects: 'the target fails the connection with 1002' },
  );
}

/** Parameters of an answer. Each client that compresses accepts those of the server. */
const SETTINGS = [[], [SERVER_TAKEOVER], [CLIENT_TAKEOVER], TAKEOVERS] as const;

function settings(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1',
    expects: 'each message comes back, and the client keeps its part of the agreement',
  });
  for (const params of SETTINGS) {
    addCompressed(
      add,
      [
        {
          title: `50 messages of 2000 bytes of JSON with ${params.join(' and ') || 'no parameter'}`,
          messages: () => conversation(),
        },
      ],
      (attempt) => attempt.acceptDeflate(params),
    );
  }
}

/** Adds sections with as many messages as Autobahn sends. Each case takes seconds. */
function thousandsBySetting(chapter: Chapter<ClientAttempt>): void {
  for (const params of SETTINGS) {
    const add = chapter.section({
      section: 'RFC 7692, 6 and 7.1',
      expects: 'each message comes back, and the client keeps its part of the agreement',
      title: params.join(' and ') || 'no parameter',
      flood: true,
    });
    addCompressed(add, thousands('JSON', TEXT, json), (attempt) => attempt.acceptDeflate(params));
  }
}

function* conversation(): Generator<SentMessage> {
  for (const payload of slices(json, 2000, 50)) yield { opcode: TEXT, payload };
}

function beyondWindow(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1.2.1 and 7.2.2',
    expects: 'the original bytes come back, or the target fails the connection',
  });
  for (const bits of [9, 12]) {
    add(`the answer: ${SERVER_BITS}=${bits}, and a match beyond that window`, async (attempt) => {
      skipUnlessBitsFit(attempt, [`${SERVER_BITS}=${bits}`]);
      await sendBeyondWindow(await attempt.acceptDeflate([`${SERVER_BITS}=${bits}`]), bits);
    });
  }
}
