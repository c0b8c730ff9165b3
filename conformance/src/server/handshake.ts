import type { ServerAttempt } from '../attempts/server-attempt.ts';
import { type AddCase, Chapter, type SectionFacts } from '../model/chapter.ts';
import { type Field, withoutField } from '../wire/handshake.ts';
import { fieldOf } from '../wire/head.ts';
import { requestBytes, stoppedRequests } from './handshake-bytes.ts';
import { offers } from './handshake-offers.ts';
import { refusals } from './handshake-refusals.ts';
import {
  type ChangeFields,
  expectAccepted,
  expectAnswered,
  expectRefused,
  type HandshakeRequest,
  withFields,
  withValue,
} from './handshake-requests.ts';
import { smuggling } from './handshake-smuggling.ts';

/** Creates chapter 8 for servers: the opening handshake. */
export function handshake(): Chapter<ServerAttempt> {
  const chapter = new Chapter<ServerAttempt>(8);
  answers(chapter);
  spellings(chapter);
  lists(chapter);
  upgradeLists(chapter);
  additions(chapter);
  targets(chapter);
  queries(chapter);
  oddities(chapter);
  refusals(chapter);
  offers(chapter);
  requestBytes(chapter);
  smuggling(chapter);
  stoppedRequests(chapter);
  return chapter;
}

const ACCEPTED = {
  title: 'a valid handshake',
  section: 'RFC 6455, 4.2.1',
  expects: 'the server accepts the handshake with 101, and the connection works',
};

/** Valid keys. */
const KEYS = [
  ['the example key of the RFC', 'dGhlIHNhbXBsZSBub25jZQ=='],
  ['a key of zeros', 'AAAAAAAAAAAAAAAAAAAAAA=='],
  ['a key of ones', '/////////////////////w=='],
  ['a key with + and /', '+/+/+/+/+/+/+/+/+/+/+w=='],
  ['a key of letters', 'abcdefghijklmnopqrstuQ=='],
] as const;

function answers(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'a valid handshake',
    section: 'RFC 6455, 4.2.2',
    expects: 'a 101 with Upgrade, Connection and the Sec-WebSocket-Accept for the key',
  });
  for (const [title, key] of KEYS) {
    add(title, async (attempt) => {
      await expectAccepted(attempt, { key });
    });
  }
  add(
    'an accepted handshake without a body',
    async (attempt) => {
      const head = await expectAccepted(attempt, {});
      for (const name of ['Content-Length', 'Transfer-Encoding']) {
        if (fieldOf(head, name) !== undefined) attempt.fail(`the 101 has ${name}`);
      }
    },
    {
      section: 'RFC 9110, 8.6; RFC 9112, 6.1',
      expects: 'a 101 without Content-Length and Transfer-Encoding',
    },
  );
  add(
    'ten handshakes with ten keys at the same time',
    async (attempt) => {
      await Promise.all(Array.from({ length: 10 }, () => expectAccepted(attempt, {})));
    },
    // RFC 6455, 4.1: a client has one connection at a time in this state, and servers limit them.
    { expects: 'each answer matches the key of its request', level: 'advice' },
  );
}

const renamed =
  (rename: (name: string) => string): ChangeFields =>
  (fields) =>
    fields.map(([name, value]) => [rename(name), value]);

/** Other spellings of the same fields. */
const SPELLINGS: readonly (readonly [string, ChangeFields])[] = [
  ['field names in lower case', renamed((name) => name.toLowerCase())],
  ['field names in upper case', renamed((name) => name.toUpperCase())],
  [
    'field names in mixed case',
    renamed((name) =>
      name.replaceAll(/[a-z](?=[a-z])/g, (letter, at: number) =>
        at % 2 === 0 ? letter.toUpperCase() : letter,
      ),
    ),
  ],
  ['fields in reverse order', (fields) => fields.toReversed()],
  ['Host as the last field', (fields) => [...fields.slice(1), ...fields.slice(0, 1)]],
  ['the key as the first field', (fields) => [...fields.slice(3), ...fields.slice(0, 3)]],
  ['Upgrade: WebSocket', withValue('Upgrade', 'WebSocket')],
  ['Upgrade: WEBSOCKET', withValue('Upgrade', 'WEBSOCKET')],
  ['Connection: upgrade', withValue('Connection', 'upgrade')],
  ['Connection: UPGRADE', withValue('Connection', 'UPGRADE')],
  ['spaces around values', (fields) => fields.map(([name, value]) => [name, `  ${value}  `])],
  ['tabs before values', (fields) => fields.map(([name, value]) => [name, `\t${value}`])],
  [
    // The parser of Node 20 adds a tab after the value of Connection to the token. No known
    // client sends one.
    'tabs after values, except Connection',
    (fields) => fields.map(([name, value]) => [name, name === 'Connection' ? value : `${value}\t`]),
  ],
];

function spellings(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(ACCEPTED);
  for (const [title, fields] of SPELLINGS) {
    add(title, async (attempt) => {
      await expectAccepted(attempt, { fields });
    });
  }
  add(
    'no space after the colons',
    async (attempt) => {
      await expectAccepted(attempt, { bytes: (text) => text.replaceAll(': ', ':') });
    },
    { section: 'RFC 9112, 5' },
  );
}

/** Values of Connection with the token Upgrade. */
const CONNECTIONS = [
  'keep-alive, Upgrade',
  'Upgrade, keep-alive',
  'keep-alive,Upgrade',
  'keep-alive , upgrade',
  'keep-alive,\tUpgrade',
  ', Upgrade',
  'Upgrade, , keep-alive',
  'x-one, x-two, x-three, Upgrade, x-four',
  'Upgrade, Upgrade',
];

function lists(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...ACCEPTED, section: 'RFC 6455, 4.2.1; RFC 9110, 5.6.1' });
  for (const value of CONNECTIONS) {
    add(`Connection: ${value.replaceAll('\t', '<tab>')}`, async (attempt) => {
      await expectAccepted(attempt, { fields: withValue('Connection', value) });
    });
  }
  connectionLines(add);
}

/** Adds requests with Connection in two lines. */
function connectionLines(add: AddCase<ServerAttempt>): void {
  add('Connection in two lines, Upgrade in the second', async (attempt) => {
    await expectAccepted(attempt, {
      fields: (fields) => [
        ...withValue('Connection', 'keep-alive')(fields),
        ['Connection', 'Upgrade'],
      ],
    });
  });
  add('Connection in two lines, Upgrade in the first', async (attempt) => {
    await expectAccepted(attempt, { fields: withFields(['Connection', 'keep-alive']) });
  });
}

function upgradeLists(chapter: Chapter<ServerAttempt>): void {
  const upgrades = chapter.section({ ...ACCEPTED, level: 'should', section: 'RFC 9110, 7.8' });
  for (const value of ['websocket, h2c', 'h2c, websocket', 'foo/1.0, WebSocket', ', websocket']) {
    upgrades(`Upgrade: ${value}`, async (attempt) => {
      await expectAccepted(attempt, { fields: withValue('Upgrade', value) });
    });
  }
}

/** Fields that a server must ignore or accept. */
const ADDITIONAL_FIELDS: readonly (readonly [
  title: string,
  fields: readonly Field[],
  own?: Partial<SectionFacts>,
])[] = [
  [
    'fields that browsers send',
    [
      ['Pragma', 'no-cache'],
      ['Cache-Control', 'no-cache'],
      ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64)'],
      ['Accept-Encoding', 'gzip, deflate, br'],
      ['Accept-Language', 'en,de;q=0.5'],
    ],
  ],
  [
    'unknown fields',
    [
      ['X-One', '1'],
      ['X-Two', '2'],
    ],
  ],
  ['a field without a value', [['X-Empty', '']]],
  ['a cookie', [['Cookie', 'session=0123456789abcdef; theme="dark"']]],
  [
    'two lines of one field',
    [
      ['X-Twice', 'a'],
      ['X-Twice', 'b'],
    ],
  ],
  ['fifty fields', Array.from({ length: 50 }, (_, at): Field => [`X-${at}`, `value ${at}`])],
  ['a field of 4000 bytes', [['X-Long', 'x'.repeat(4000)]]],
  // RFC 9110, 5.5: fields ought to be ASCII.
  [
    'a field with bytes above ASCII',
    [['X-Latin', 'caf\u00e9 \u00fc']],
    { section: 'RFC 9110, 5.5', level: 'advice' },
  ],
  ['a field whose value looks like another field', [['X-Odd', 'Sec-WebSocket-Version: 7']]],
  ['Sec-WebSocket-Accept, a field of servers', [['Sec-WebSocket-Accept', 'x']]],
  ['Content-Length: 0', [['Content-Length', '0']]],
];

function additions(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(ACCEPTED);
  for (const [title, more, own] of ADDITIONAL_FIELDS) {
    add(
      `an additional field: ${title}`,
      async (attempt) => {
        await expectAccepted(attempt, { fields: withFields(...more) });
      },
      own,
    );
  }
}

function targets(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...ACCEPTED, section: 'RFC 6455, 4.2.1; RFC 9112, 3.2' });
  add('an absolute http URI as the target', async (attempt) => {
    await expectAccepted(attempt, {
      start: (target, host) => `GET http://${host}${target} HTTP/1.1`,
    });
  });
}

/** Queries of the target. */
const QUERIES = [
  ['a query', 'x=1&y=2'],
  ['a query with escapes', 'q=%20%C3%A9%00'],
  ['a query of 2000 bytes', 'x'.repeat(2000)],
  ['a query with a question mark and a slash', 'a?b/c'],
] as const;

function queries(chapter: Chapter<ServerAttempt>): void {
  const query = chapter.section({
    ...ACCEPTED,
    // A server may interpret the query.
    level: 'advice',
    section: 'RFC 6455, 3',
  });
  for (const [title, more] of QUERIES) {
    query(title, async (attempt) => {
      await expectAccepted(attempt, {
        start: (target) => `GET ${target}${target.includes('?') ? '&' : '?'}${more} HTTP/1.1`,
      });
    });
  }
}

const SPACE_BEFORE_COLON: HandshakeRequest = {
  bytes: (text) => text.replace('Upgrade:', 'Upgrade :'),
};

/** A server that reads up to the NUL finds version 13. */
const NUL_AFTER_VERSION: HandshakeRequest = {
  fields: withValue('Sec-WebSocket-Version', '13\u0000x'),
};

/** Requests that a server must refuse, because other servers on its way may read them otherwise. */
const UNSAFE: ReadonlySet<HandshakeRequest> = new Set([SPACE_BEFORE_COLON, NUL_AFTER_VERSION]);

/** Unusual or malformed requests. A server may accept or refuse each of them, except the unsafe ones. */
const ODDITIES: readonly (readonly [
  title: string,
  request: HandshakeRequest,
  own?: Partial<SectionFacts>,
])[] = [
  ['an empty line before the request', { bytes: (text) => `\r\n${text}` }],
  ['lines that end with LF only', { bytes: (text) => text.replaceAll('\r\n', '\n') }],
  ['a field folded over two lines', { fields: withFields(['X-Folded', 'one\r\n two']) }],
  [
    'a space before a colon',
    SPACE_BEFORE_COLON,
    {
      section: 'RFC 9112, 5.1',
      level: 'must',
      expects: 'the server refuses the request with an HTTP error',
    },
  ],
  [
    'a field without a colon',
    { bytes: (text) => text.replace('\r\n\r\n', '\r\nnonsense\r\n\r\n') },
  ],
  ['a field without a name', { bytes: (text) => text.replace('\r\n\r\n', '\r\n: x\r\n\r\n') }],
  ['NUL in a value', { fields: withFields(['X-Zero', 'a\0b']) }],
  ['a request with version HTTP/2.0', { start: (target) => `GET ${target} HTTP/2.0` }],
  ['an empty Host', { fields: withValue('Host', '') }],
  [
    'a Host in upper case',
    {
      fields: (fields) =>
        fields.map(([name, value]) => [name, name === 'Host' ? value.toUpperCase() : value]),
    },
  ],
  [
    'a key whose unused bits are not zero',
    { key: 'AAAAAAAAAAAAAAAAAAAAAB==' },
    { section: 'RFC 4648, 3.5' },
  ],
  [
    'an empty Sec-WebSocket-Extensions',
    { fields: withFields(['Sec-WebSocket-Extensions', '']) },
    { section: 'RFC 6455, 9.1' },
  ],
  [
    'an empty Sec-WebSocket-Protocol',
    { fields: withFields(['Sec-WebSocket-Protocol', '']) },
    { section: 'RFC 6455, 4.1' },
  ],
  [
    'a field of 60,000 bytes',
    { fields: withFields(['X-Long', 'x'.repeat(60_000)]) },
    { section: 'RFC 9110, 5.4' },
  ],
  [
    'a thousand fields',
    { fields: withFields(...Array.from({ length: 1000 }, (_, at): Field => [`X-${at}`, 'x'])) },
    { section: 'RFC 9110, 5.4' },
  ],
  [
    'a target of 60,000 bytes',
    { start: () => `GET /${'x'.repeat(60_000)} HTTP/1.1` },
    { section: 'RFC 9112, 3' },
  ],
  [
    'a request with the Origin of another site',
    { fields: withFields(['Origin', 'https://elsewhere.example']) },
    { section: 'RFC 6455, 4.2.2 and 10.2' },
  ],
  [
    'a plain request without Upgrade and Connection',
    { fields: (fields) => withoutField(withoutField(fields, 'Upgrade'), 'Connection') },
    { section: 'RFC 6455, 4.2.1', expects: 'an HTTP answer' },
  ],
  [
    'NUL in Sec-WebSocket-Version, after 13',
    NUL_AFTER_VERSION,
    {
      section: 'RFC 9110, 5.5',
      level: 'must',
      expects: 'the server refuses the handshake: it rejects NUL, or replaces it with a space',
    },
  ],
];

function oddities(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'an odd request',
    section: 'RFC 9112, 2.2 and 5.2',
    level: 'advice',
    expects: 'an HTTP answer or the end of the connection; after a 101, a working connection',
  });
  for (const [title, request, own] of ODDITIES) {
    add(
      title,
      async (attempt) => {
        if (UNSAFE.has(request)) await expectRefused(attempt, request);
        else await expectAnswered(attempt, request);
      },
      own,
    );
  }
}
