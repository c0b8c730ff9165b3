import { Chapter } from '../model/chapter.ts';
import type { ServerAttempt } from '../run/server-attempt.ts';
import { type Field, replaced, without } from '../wire/handshake.ts';
import { fieldOf } from '../wire/head.ts';
import { wantAccepted, wantAnswered } from './asking.ts';
import { earlyAndLate } from './handshake-bytes.ts';
import { offers } from './handshake-offers.ts';
import { refusals } from './handshake-refusals.ts';

/** Chapter 8: the server's half of the opening handshake. */
export function handshake(): Chapter<ServerAttempt> {
  const chapter = new Chapter<ServerAttempt>(8);
  answers(chapter);
  spellings(chapter);
  lists(chapter);
  additions(chapter);
  targets(chapter);
  oddities(chapter);
  refusals(chapter);
  offers(chapter);
  earlyAndLate(chapter);
  return chapter;
}

const ACCEPTED = {
  section: 'RFC 6455, 4.2.1',
  expects: 'the handshake is accepted with 101, and the connection works',
};

function answers(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.2.2',
    expects: 'a 101 with Upgrade, Connection and the Sec-WebSocket-Accept of the key',
  });
  for (const [says, key] of [
    ['the key of the RFC', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['a key of zeros', 'AAAAAAAAAAAAAAAAAAAAAA=='],
    ['a key of ones', '/////////////////////w=='],
    ['a key with + and /', '+/+/+/+/+/+/+/+/+/+/+w=='],
    ['a key of letters', 'abcdefghijklmnopqrstuQ=='],
  ] as const) {
    add(says, async (attempt) => {
      await wantAccepted(attempt, { key });
    });
  }
  add(
    'an accepted handshake has no body',
    async (attempt) => {
      const head = await wantAccepted(attempt, {});
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
      await Promise.all(Array.from({ length: 10 }, () => wantAccepted(attempt, {})));
    },
    { expects: 'each has the answer to its own key' },
  );
}

type FieldsOf = (fields: readonly Field[]) => readonly Field[];

const renamed =
  (rename: (name: string) => string): FieldsOf =>
  (fields) =>
    fields.map(([name, value]) => [rename(name), value]);

const set =
  (name: string, value: string): FieldsOf =>
  (fields) =>
    replaced(fields, name, value);

const plus =
  (...more: readonly Field[]): FieldsOf =>
  (fields) => [...fields, ...more];

function spellings(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(ACCEPTED);
  const all: readonly (readonly [string, FieldsOf])[] = [
    ['names of fields in lower case', renamed((name) => name.toLowerCase())],
    ['names of fields in upper case', renamed((name) => name.toUpperCase())],
    [
      'names of fields in mixed case',
      renamed((name) =>
        name.replaceAll(/[a-z](?=[a-z])/g, (letter, at: number) =>
          at % 2 === 0 ? letter.toUpperCase() : letter,
        ),
      ),
    ],
    ['fields in the opposite order', (fields) => fields.toReversed()],
    ['Host as the last field', (fields) => [...fields.slice(1), ...fields.slice(0, 1)]],
    ['the key as the first field', (fields) => [...fields.slice(3), ...fields.slice(0, 3)]],
    ['Upgrade: WebSocket', set('Upgrade', 'WebSocket')],
    ['Upgrade: WEBSOCKET', set('Upgrade', 'WEBSOCKET')],
    ['Connection: upgrade', set('Connection', 'upgrade')],
    ['Connection: UPGRADE', set('Connection', 'UPGRADE')],
    ['blanks around values', (fields) => fields.map(([name, value]) => [name, `  ${value}  `])],
    ['tabs before values', (fields) => fields.map(([name, value]) => [name, `\t${value}`])],
    [
      // Behind Connection's the parser of Node 20 takes a tab for a part of the token, which no client has ever sent.
      "tabs behind values, save Connection's",
      (fields) =>
        fields.map(([name, value]) => [name, name === 'Connection' ? value : `${value}\t`]),
    ],
  ];
  for (const [says, fields] of all) {
    add(says, async (attempt) => {
      await wantAccepted(attempt, { fields });
    });
  }
  add(
    'no blank after the colons',
    async (attempt) => {
      await wantAccepted(attempt, { bytes: (text) => text.replaceAll(': ', ':') });
    },
    { section: 'RFC 9112, 5' },
  );
}

function lists(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...ACCEPTED, section: 'RFC 6455, 4.2.1; RFC 9110, 5.6.1' });
  for (const value of [
    'keep-alive, Upgrade',
    'Upgrade, keep-alive',
    'keep-alive,Upgrade',
    'keep-alive , upgrade',
    'keep-alive,\tUpgrade',
    ', Upgrade',
    'Upgrade, , keep-alive',
    'x-one, x-two, x-three, Upgrade, x-four',
    'Upgrade, Upgrade',
  ]) {
    add(`Connection: ${value.replaceAll('\t', '<tab>')}`, async (attempt) => {
      await wantAccepted(attempt, { fields: set('Connection', value) });
    });
  }
  add('Connection in two lines, Upgrade in the second', async (attempt) => {
    await wantAccepted(attempt, {
      fields: (fields) => [...set('Connection', 'keep-alive')(fields), ['Connection', 'Upgrade']],
    });
  });
  add('Connection in two lines, Upgrade in the first', async (attempt) => {
    await wantAccepted(attempt, { fields: plus(['Connection', 'keep-alive']) });
  });
  const upgrades = chapter.section({ ...ACCEPTED, level: 'should', section: 'RFC 9110, 7.8' });
  for (const value of ['websocket, h2c', 'h2c, websocket', 'foo/1.0, WebSocket', ', websocket']) {
    upgrades(`Upgrade: ${value}`, async (attempt) => {
      await wantAccepted(attempt, { fields: set('Upgrade', value) });
    });
  }
}

function additions(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(ACCEPTED);
  const all: readonly (readonly [string, readonly Field[]])[] = [
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
      'fields that nobody knows',
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
    ['a field with bytes above ASCII', [['X-Latin', 'caf\u00e9 \u00fc']]],
    ['a field whose value looks like another field', [['X-Odd', 'Sec-WebSocket-Version: 7']]],
    ["Sec-WebSocket-Accept, which is a server's", [['Sec-WebSocket-Accept', 'x']]],
    ['Content-Length: 0', [['Content-Length', '0']]],
  ];
  for (const [says, more] of all) {
    add(`${says} besides`, async (attempt) => {
      await wantAccepted(attempt, { fields: plus(...more) });
    });
  }
}

function targets(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...ACCEPTED, section: 'RFC 6455, 4.2.1; RFC 9112, 3.2' });
  add('an absolute URI as the target, http', async (attempt) => {
    await wantAccepted(attempt, {
      start: (target, host) => `GET http://${host}${target} HTTP/1.1`,
    });
  });
  const query = chapter.section({
    ...ACCEPTED,
    // A server may look at the query as it likes.
    level: 'should',
    section: 'RFC 6455, 3',
  });
  for (const [says, more] of [
    ['a query', 'x=1&y=2'],
    ['a query with escapes', 'q=%20%C3%A9%00'],
    ['a query of 2000 bytes', 'x'.repeat(2000)],
    ['a query with a question mark and a slash', 'a?b/c'],
  ] as const) {
    query(says, async (attempt) => {
      await wantAccepted(attempt, {
        start: (target) => `GET ${target}${target.includes('?') ? '&' : '?'}${more} HTTP/1.1`,
      });
    });
  }
}

function oddities(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    section: 'RFC 9112, 2.2 and 5.2',
    expects:
      'an answer of HTTP, or the end of the connection; if it is 101, a connection that works',
  });
  add('an empty line before the request', async (attempt) => {
    await wantAnswered(attempt, { bytes: (text) => `\r\n${text}` });
  });
  add('lines that end with LF alone', async (attempt) => {
    await wantAnswered(attempt, { bytes: (text) => text.replaceAll('\r\n', '\n') });
  });
  add('a field folded over two lines', async (attempt) => {
    await wantAnswered(attempt, { fields: plus(['X-Folded', 'one\r\n two']) });
  });
  add('a blank before a colon', async (attempt) => {
    await wantAnswered(attempt, { bytes: (text) => text.replace('Upgrade:', 'Upgrade :') });
  });
  add('a field without a colon', async (attempt) => {
    await wantAnswered(attempt, {
      bytes: (text) => text.replace('\r\n\r\n', '\r\nnonsense\r\n\r\n'),
    });
  });
  add('a field without a name', async (attempt) => {
    await wantAnswered(attempt, { bytes: (text) => text.replace('\r\n\r\n', '\r\n: x\r\n\r\n') });
  });
  add('a zero in a value', async (attempt) => {
    await wantAnswered(attempt, { fields: plus(['X-Zero', 'a\0b']) });
  });
  add('a request of HTTP/2.0, which is no less than 1.1', async (attempt) => {
    await wantAnswered(attempt, { start: (target) => `GET ${target} HTTP/2.0` });
  });
  add('an empty Host', async (attempt) => {
    await wantAnswered(attempt, { fields: set('Host', '') });
  });
  add('a Host in upper case', async (attempt) => {
    await wantAnswered(attempt, {
      fields: (fields) =>
        fields.map(([name, value]) => [name, name === 'Host' ? value.toUpperCase() : value]),
    });
  });
  add(
    'a key whose last bits are not zero',
    async (attempt) => {
      await wantAnswered(attempt, { key: 'AAAAAAAAAAAAAAAAAAAAAB==' });
    },
    { section: 'RFC 4648, 3.5' },
  );
  add(
    'an empty Sec-WebSocket-Extensions',
    async (attempt) => {
      await wantAnswered(attempt, { fields: plus(['Sec-WebSocket-Extensions', '']) });
    },
    { section: 'RFC 6455, 9.1' },
  );
  add(
    'an empty Sec-WebSocket-Protocol',
    async (attempt) => {
      await wantAnswered(attempt, { fields: plus(['Sec-WebSocket-Protocol', '']) });
    },
    { section: 'RFC 6455, 4.1' },
  );
  add(
    'a field of 60,000 bytes',
    async (attempt) => {
      await wantAnswered(attempt, { fields: plus(['X-Long', 'x'.repeat(60_000)]) });
    },
    { section: 'RFC 9110, 5.4' },
  );
  add(
    'a thousand fields',
    async (attempt) => {
      await wantAnswered(attempt, {
        fields: plus(...Array.from({ length: 1000 }, (_, at): Field => [`X-${at}`, 'x'])),
      });
    },
    { section: 'RFC 9110, 5.4' },
  );
  add(
    'a target of 60,000 bytes',
    async (attempt) => {
      await wantAnswered(attempt, { start: () => `GET /${'x'.repeat(60_000)} HTTP/1.1` });
    },
    { section: 'RFC 9112, 3' },
  );
  add(
    'a request with the Origin of another site',
    async (attempt) => {
      await wantAnswered(attempt, { fields: plus(['Origin', 'https://elsewhere.example']) });
    },
    { section: 'RFC 6455, 4.2.2 and 10.2' },
  );
  add(
    'a request without Upgrade and Connection: a plain one',
    async (attempt) => {
      await wantAnswered(attempt, {
        fields: (fields) => without(without(fields, 'Upgrade'), 'Connection'),
      });
    },
    { section: 'RFC 6455, 4.2.1', expects: 'an answer of HTTP' },
  );
}
