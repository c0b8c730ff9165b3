import type { ServerAttempt } from '../attempts/server-attempt.ts';
import { sendBeyondWindow } from '../chapters/compressed.ts';
import { repeating } from '../chapters/compressed-data.ts';
import { addCompressed } from '../chapters/rows.ts';
import { thousands } from '../chapters/thousand-messages.ts';
import { Chapter } from '../model/chapter.ts';
import { Refused } from '../model/verdicts.ts';
import { json, slices } from '../tables/real-data.ts';
import { letters, noise, utf8 } from '../wire/bytes.ts';
import { checkAlive, closeCleanly, echo, expectMessage, type SentMessage } from '../wire/expect.ts';
import { BINARY, RSV1, TEXT } from '../wire/frame.ts';
import { deflateTerms } from '../wire/handshake.ts';
import { fieldOf, parseExtensions, statusOf } from '../wire/head.ts';
import type { Peer } from '../wire/peer.ts';

/** Creates chapter 13 for servers: offers of permessage-deflate. */
export function parameters(): Chapter<ServerAttempt> {
  const chapter = new Chapter<ServerAttempt>(13);
  valid(chapter);
  invalid(chapter);
  severalOffers(chapter);
  fallbacks(chapter);
  serverWindow(chapter);
  clientWindow(chapter);
  takeover(chapter);
  notOffered(chapter);
  settings(chapter);
  offerLines(chapter);
  beyondWindow(chapter);
  fullWindows(chapter);
  thousandsBySetting(chapter);
  return chapter;
}

const DEFLATE = 'permessage-deflate';

async function exchange(peer: Peer, payload: Buffer, times = 2): Promise<void> {
  for (let time = 0; time < times; time++) {
    await peer.sendFrames({
      opcode: BINARY,
      payload: peer.compressor.compress(payload),
      rsv: RSV1,
    });
    await expectMessage(peer, BINARY, payload);
  }
}

const TAKEOVERS = ['server_no_context_takeover', 'client_no_context_takeover'];

/** Parameters of valid offers. */
const VALID_OFFERS = [
  '',
  '; client_max_window_bits',
  ...[8, 9, 10, 11, 12, 13, 14, 15].map((bits) => `; client_max_window_bits=${bits}`),
  ...[8, 9, 10, 11, 12, 13, 14, 15].map((bits) => `; server_max_window_bits=${bits}`),
  ...TAKEOVERS.map((name) => `; ${name}`),
  `; ${TAKEOVERS.join('; ')}`,
  `; ${TAKEOVERS.toReversed().join('; ')}`,
  '; client_max_window_bits; server_max_window_bits=10',
  '; server_max_window_bits=10; client_max_window_bits=12',
  `; ${TAKEOVERS.join('; ')}; server_max_window_bits=11; client_max_window_bits`,
  `; client_max_window_bits=9; server_max_window_bits=9; ${TAKEOVERS.join('; ')}`,
  '; server_max_window_bits="10"',
  '; client_max_window_bits="12"',
  ';client_max_window_bits',
  ' ; client_max_window_bits = 12 ; server_no_context_takeover',
];

const REFUSED = 'the server refused the handshake, expected a decline of the offer (5.1)';

function valid(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 5.1 and 7.1',
    expects:
      'the server declines the offer or accepts it with a valid answer, and messages come back',
  });
  for (const offer of VALID_OFFERS) {
    add(`the offer ${DEFLATE}${offer}`, async (attempt) => {
      let peer: Peer;
      try {
        peer = await attempt.open({ extensions: DEFLATE + offer });
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        return attempt.nonStrict(REFUSED);
      }
      if (peer.deflate === undefined) attempt.skip(`the server declined "${DEFLATE}${offer}"`);
      await exchange(peer, letters(3000));
      await echo(peer, TEXT, utf8('a plain one'));
      await closeCleanly(peer);
    });
  }
}

/** Invalid window sizes. */
const BAD_BITS = ['7', '16', '0', '1', '100', '08', '015', '8.0', '-9', '+9', '0x9', 'nine', '1e1'];

/** Parameters of invalid offers. */
const INVALID_OFFERS = [
  ...BAD_BITS.map((value) => `client_max_window_bits=${value}`),
  ...BAD_BITS.map((value) => `server_max_window_bits=${value}`),
  'server_max_window_bits',
  'server_no_context_takeover=1',
  'server_no_context_takeover=true',
  'server_no_context_takeover="x"',
  'client_no_context_takeover=0',
  'client_no_context_takeover=false',
  'x-unknown',
  'x-unknown=1',
  'max_window_bits=10',
  'no_context_takeover',
  'Server_No_Context_Takeover',
  'toString',
  'client_max_window_bits; client_max_window_bits',
  'client_max_window_bits=10; client_max_window_bits=11',
  'server_max_window_bits=10; server_max_window_bits=10',
  'server_no_context_takeover; server_no_context_takeover',
  'client_max_window_bits; x-unknown',
];

function invalid(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 5.1 and 7.1',
    expects: 'the server declines the offer and accepts the handshake without compression',
  });
  for (const offer of INVALID_OFFERS) {
    add(
      `the offer ${DEFLATE}; ${offer}`,
      async (attempt) => {
        const key = attempt.freshKey();
        const peer = await attempt.connect();
        const extensions = `${DEFLATE}; ${offer}`;
        await attempt.sendRequest(peer, [
          ...attempt.fields(key),
          ['Sec-WebSocket-Extensions', extensions],
        ]);
        const head = await attempt.readAnswer(peer);
        // A server that refuses the handshake has at least not accepted the offer.
        if (statusOf(head) >= 400) {
          attempt.nonStrict(REFUSED);
          return;
        }
        attempt.judgeAnswer(head, key, { extensions: [DEFLATE] });
        if (fieldOf(head, 'sec-websocket-extensions') !== undefined) {
          attempt.fail('the server accepted the offer, expected a decline');
        }
        await echo(peer, TEXT, letters(2000));
        await closeCleanly(peer);
      },
      UNCERTAIN_OFFERS.includes(offer) ? { level: 'advice' } : {},
    );
  }
}

/** No RFC says whether the names of parameters have a case. */
const UNCERTAIN_OFFERS = ['Server_No_Context_Takeover'];

/** Lists of several offers. */
const OFFER_LISTS = [
  `${DEFLATE}; server_max_window_bits=10, ${DEFLATE}`,
  `${DEFLATE}, ${DEFLATE}; server_max_window_bits=10`,
  `${DEFLATE}; client_max_window_bits, ${DEFLATE}; server_no_context_takeover, ${DEFLATE}`,
  `x-unknown, ${DEFLATE}`,
  `${DEFLATE}, x-unknown`,
  `x-unknown; a=1, ${DEFLATE}; client_max_window_bits, x-other`,
  `${DEFLATE}, ${DEFLATE}, ${DEFLATE}`,
];

/** Parameters of an invalid offer before a valid one. */
const BAD_FIRST_OFFERS = [
  'client_max_window_bits=7',
  'server_max_window_bits',
  'server_no_context_takeover=1',
  'x-unknown',
  'server_max_window_bits=99',
  'client_no_context_takeover; client_no_context_takeover',
];

function severalOffers(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 5.1 and 7',
    expects: 'the server accepts one offer with a valid answer, or none, and messages come back',
  });
  for (const offers of OFFER_LISTS) {
    add(`the offers ${offers}`, async (attempt) => {
      await exchangeOffering(attempt, offers);
    });
  }
}

function fallbacks(chapter: Chapter<ServerAttempt>): void {
  const fallback = chapter.section({
    section: 'RFC 7692, 5.1 and 7.1',
    level: 'should',
    expects: 'the server declines the invalid offer and accepts the other one',
  });
  for (const bad of BAD_FIRST_OFFERS) {
    fallback(`the offers ${DEFLATE}; ${bad}, then ${DEFLATE}`, async (attempt) => {
      // A server without compression declines both offers, so skip the case.
      await attempt.openDeflate();
      const peer = await attempt.open({ extensions: `${DEFLATE}; ${bad}, ${DEFLATE}` });
      if (peer.deflate === undefined) attempt.fail('the server declined the valid second offer');
      await exchange(peer, letters(1000));
      await closeCleanly(peer);
    });
  }
}

async function exchangeOffering(attempt: ServerAttempt, offers: string): Promise<void> {
  const peer = await attempt.openOffering(offers);
  await exchange(peer, letters(3000));
  await closeCleanly(peer);
}

/** Returns the same noise twice. Only a window larger than `bits` can compress the second copy. */
function repeatedNoise(bits: number): Buffer {
  const once = noise(2 ** bits + 100);
  return Buffer.concat([once, once]);
}

function serverWindow(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1.2.1 and 7.2.1',
    expects: "the message comes back without a match beyond the server's window",
  });
  for (const bits of [8, 9, 10, 11, 12, 13, 14, 15]) {
    add(
      `server_max_window_bits=${bits}, and a message that repeats itself beyond the window`,
      async (attempt) => {
        const peer = await attempt.openOffering(`${DEFLATE}; server_max_window_bits=${bits}`);
        await echo(peer, BINARY, repeatedNoise(bits));
        await echo(peer, BINARY, letters(2000));
        await closeCleanly(peer);
      },
    );
    add(
      `server_max_window_bits=${bits}, and messages that repeat each other beyond the window`,
      async (attempt) => {
        const peer = await attempt.openOffering(`${DEFLATE}; server_max_window_bits=${bits}`);
        const once = noise(2 ** bits + 100);
        for (let time = 0; time < 3; time++) await echo(peer, BINARY, once);
        await closeCleanly(peer);
      },
    );
  }
}

function clientWindow(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1.2.2 and 7.2.2',
    expects: 'messages with matches up to the window size come back',
  });
  for (const bits of [8, 9, 10, 11, 12, 13, 14, 15]) {
    add(
      `client_max_window_bits=${bits}, and messages with matches up to that distance`,
      async (attempt) => {
        const peer = await attempt.openOffering(`${DEFLATE}; client_max_window_bits=${bits}`);
        const agreed = peer.deflate!.clientMaxWindowBits;
        const once = noise(Math.max(2 ** agreed - 300, 0));
        const payload = agreed < 9 ? noise(500) : Buffer.concat([once, once.subarray(0, 290)]);
        await exchange(peer, payload, 3);
        await closeCleanly(peer);
      },
    );
  }
}

function takeover(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1.1',
    expects: 'the suite can inflate each message without the previous ones',
  });
  for (const [name, make] of [
    ['text', letters],
    ['noise', noise],
    ['zeros', (size: number) => Buffer.alloc(size)],
  ] as const) {
    add(`server_no_context_takeover, and the same ${name} five times`, async (attempt) => {
      const peer = await attempt.openOffering(`${DEFLATE}; server_no_context_takeover`);
      await exchange(peer, make(5000), 5);
      await closeCleanly(peer);
    });
    add(
      `client_no_context_takeover, and the same ${name} five times without context takeover`,
      async (attempt) => {
        const peer = await attempt.openOffering(`${DEFLATE}; client_no_context_takeover`);
        if (!peer.deflate!.clientNoContextTakeover)
          attempt.skip('the server did not answer with client_no_context_takeover');
        await exchange(peer, make(5000), 5);
        await closeCleanly(peer);
      },
      { expects: 'each message comes back' },
    );
  }
}

function notOffered(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 5.2 and 9.1',
    expects: 'messages come back without RSV1, and the 101 names no extension',
  });
  for (const size of [0, 100, 1000, 65_536]) {
    add(`no offer, and a compressible text of ${size} bytes`, async (attempt) => {
      const peer = await attempt.open();
      await echo(peer, TEXT, Buffer.alloc(size, 0x61));
      await checkAlive(peer);
      await closeCleanly(peer);
    });
  }
}

/** Offers with the settings of both sides. */
const SETTINGS = [
  'client_max_window_bits',
  'server_no_context_takeover',
  'client_no_context_takeover',
  'server_no_context_takeover; client_no_context_takeover',
  'server_max_window_bits=9; client_max_window_bits=9',
  'server_max_window_bits=9; client_max_window_bits=15',
  'server_max_window_bits=15; client_max_window_bits=9',
  'server_max_window_bits=12; client_max_window_bits=10; server_no_context_takeover',
];

function settings(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1',
    expects: 'each message comes back, and the server keeps its part of the agreement',
  });
  for (const setting of SETTINGS) {
    addCompressed(
      add,
      [
        {
          title: `50 messages of 2000 bytes of JSON with ${setting}`,
          messages: () => conversation(),
        },
      ],
      (attempt) => attempt.openOffering(`${DEFLATE}; ${setting}`),
    );
  }
}

function* conversation(): Generator<SentMessage> {
  for (const payload of slices(json, 2000, 50)) yield { opcode: TEXT, payload };
}

/** Messages that repeat earlier ones as far back as the window of both ends reaches. */
function fullWindows(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1.2 and 7.2.3.2',
    expects: 'each message comes back, and the server keeps its part of the agreement',
  });
  for (const bits of [8, 9, 10, 11, 12, 13, 14, 15]) {
    const rows = [2 ** bits, 2 ** bits - 64].map(repeating).map((row) => ({
      ...row,
      title: `${row.title}, with windows of ${bits} bits`,
    }));
    const params = `server_max_window_bits=${bits}; client_max_window_bits=${bits}`;
    addCompressed(add, rows, (attempt) => attempt.openOffering(`${DEFLATE}; ${params}`));
  }
}

/** The settings of Autobahn, as offers. */
const AUTOBAHN_SETTINGS = [
  DEFLATE,
  `${DEFLATE}; server_no_context_takeover`,
  `${DEFLATE}; server_max_window_bits=8`,
  `${DEFLATE}; server_max_window_bits=15`,
  `${DEFLATE}; server_no_context_takeover; server_max_window_bits=8`,
  `${DEFLATE}; server_no_context_takeover; server_max_window_bits=15`,
  `${DEFLATE}; server_no_context_takeover; server_max_window_bits=8, ${DEFLATE}; server_no_context_takeover, ${DEFLATE}`,
];

function thousandsBySetting(chapter: Chapter<ServerAttempt>): void {
  for (const offer of AUTOBAHN_SETTINGS) {
    const add = chapter.section({
      section: 'RFC 7692, 6 and 7.1',
      expects: 'each message comes back, and the server keeps its part of the agreement',
      title: offer,
      flood: true,
    });
    addCompressed(add, thousands('JSON', TEXT, json), (attempt) => attempt.openOffering(offer));
  }
}

/** Lines of Sec-WebSocket-Extensions. */
const OFFER_LINES: readonly (readonly [title: string, lines: readonly string[]])[] = [
  ['two lines, the second with permessage-deflate', ['x-unknown; a=1', DEFLATE]],
  ['two lines, both with permessage-deflate', [`${DEFLATE}; server_max_window_bits=10`, DEFLATE]],
  [
    'a line of ten unknown extensions, and permessage-deflate',
    [[...Array.from({ length: 10 }, (_, at) => `x-${at}; a=${at}`), DEFLATE].join(', ')],
  ],
  ['a line of ten offers of permessage-deflate', [Array<string>(10).fill(DEFLATE).join(', ')]],
];

function offerLines(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 9.1; RFC 7692, 5.1',
    expects: 'the server accepts one offer with a valid answer, or none, and the connection works',
  });
  for (const [title, lines] of OFFER_LINES) {
    add(title, async (attempt) => {
      const key = attempt.freshKey();
      const peer = await attempt.connect();
      const fields = lines.map((line) => ['Sec-WebSocket-Extensions', line] as const);
      await attempt.sendRequest(peer, [...attempt.fields(key), ...fields]);
      const head = await attempt.readAnswer(peer);
      attempt.judgeAnswer(head, key, { extensions: [DEFLATE] });
      const [agreed] = parseExtensions(fieldOf(head, 'sec-websocket-extensions') ?? '');
      if (agreed !== undefined) peer.useDeflate(deflateTerms(agreed));
      await echo(peer, TEXT, letters(2000));
      await closeCleanly(peer);
    });
  }
}

function beyondWindow(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 7.1.2.2 and 7.2.2',
    expects: 'the original bytes come back, or the target fails the connection',
  });
  for (const bits of [9, 10, 12]) {
    add(`client_max_window_bits=${bits}, and a match beyond that window`, async (attempt) => {
      const peer = await attempt.openOffering(`${DEFLATE}; client_max_window_bits=${bits}`);
      const agreed = peer.deflate!.clientMaxWindowBits;
      if (agreed > bits) attempt.skip(`the server did not limit the window to ${bits} bits`);
      await sendBeyondWindow(peer, agreed);
    });
  }
}
