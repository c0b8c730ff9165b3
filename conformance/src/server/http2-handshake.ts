import { DEFLATE_OFFER, type ServerAttempt } from '../attempts/server-attempt.ts';
import { type AddCase, Chapter, type SectionFacts } from '../model/chapter.ts';
import { type Field, withoutField } from '../wire/handshake.ts';
import { fieldLines, fieldOf } from '../wire/head.ts';
import { type ChangeFields, withFields, withValue } from './handshake-requests.ts';
import {
  expectAccepted,
  expectAnswered,
  expectRefused,
  type StreamRequest,
} from './http2-requests.ts';
import { sessions } from './http2-sessions.ts';

/** Creates chapter 15 for servers: the opening handshake over HTTP/2, and the ends of streams. */
export function http2Handshake(): Chapter<ServerAttempt> {
  const chapter = new Chapter<ServerAttempt>(15);
  accepted(chapter);
  keys(chapter);
  offers(chapter);
  pseudoFields(chapter);
  otherRequests(chapter);
  fields(chapter);
  versions(chapter);
  either(chapter);
  sessions(chapter);
  return chapter;
}

type RequestRow = readonly [title: string, fields: ChangeFields, own?: Partial<SectionFacts>];

/** Adds a case for each row. */
function addAll(
  add: AddCase<ServerAttempt>,
  rows: readonly RequestRow[],
  expected: (attempt: ServerAttempt, request: StreamRequest) => Promise<unknown>,
): void {
  for (const [title, change, own] of rows) {
    add(title, async (attempt) => void (await expected(attempt, { fields: change })), own);
  }
}

/** Puts a field before all others. */
function withFirst(name: string, value: string): ChangeFields {
  return (usual) => [[name, value], ...usual];
}

function without(name: string): ChangeFields {
  return (usual) => withoutField(usual, name);
}

/** Repeats a field. */
const twice =
  (name: string): ChangeFields =>
  (usual) =>
    usual.flatMap((field) => (field[0] === name ? [field, field] : [field]));

/** Adds a Host that equals `:authority`, after a change. */
const withHost =
  (change: (host: string) => string): ChangeFields =>
  (usual) => [...usual, ['host', change(usual.find(([name]) => name === ':authority')![1])]];

const ACCEPTED = {
  title: 'a valid handshake over HTTP/2',
  section: 'RFC 8441, 5',
  expects: 'the server accepts the handshake with 200, and the connection works',
};

const REFUSED = {
  title: 'an invalid handshake over HTTP/2',
  section: 'RFC 9113, 8.1.1',
  expects: 'an error status, a reset of the stream or the end of the session; others work',
};

function accepted(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(ACCEPTED);
  addAll(
    add,
    [
      ['no field but the version', (usual) => usual],
      ['Host, the same as :authority', withHost((host) => host), { section: 'RFC 9113, 8.3.1' }],
      [
        'the pseudo-header fields in another order',
        (usual) => [...usual.slice(0, 5).toReversed(), ...usual.slice(5)],
        { section: 'RFC 9113, 8.3' },
      ],
      [
        'fields that browsers send',
        withFields(
          ['pragma', 'no-cache'],
          ['cache-control', 'no-cache'],
          ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64)'],
          ['accept-encoding', 'gzip, deflate, br'],
        ),
      ],
      [
        'a cookie in three lines',
        withFields(['cookie', 'a=1'], ['cookie', 'b=2'], ['cookie', 'c=3']),
        { section: 'RFC 9113, 8.2.3' },
      ],
      [
        'fifty fields',
        withFields(...Array.from({ length: 50 }, (_, at): Field => [`x-${at}`, `value ${at}`])),
      ],
      ['a field of 4000 bytes', withFields(['x-long', 'x'.repeat(4000)])],
      ['a field without a value', withFields(['x-empty', ''])],
      ['TE: trailers', withFields(['te', 'trailers']), { section: 'RFC 9113, 8.2.2' }],
    ],
    expectAccepted,
  );
}

/** The example of RFC 6455, 1.3. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

function keys(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(ACCEPTED);
  add(
    'no Sec-WebSocket-Accept without a key',
    async (attempt) => {
      const head = await expectAccepted(attempt);
      if (fieldOf(head, 'sec-websocket-accept') !== undefined) {
        attempt.fail('the answer has Sec-WebSocket-Accept, and the request had no key');
      }
    },
    { level: 'should', expects: 'a 200 without Sec-WebSocket-Accept: it is not used' },
  );
  add('a Sec-WebSocket-Key', async (attempt) => {
    await expectAccepted(attempt, { fields: withFields(['sec-websocket-key', KEY]), key: KEY });
  });
  add(
    'the Sec-WebSocket-Accept for a Sec-WebSocket-Key',
    async (attempt) => {
      const request = { fields: withFields(['sec-websocket-key', KEY]), key: KEY };
      const head = await expectAccepted(attempt, request);
      if (fieldOf(head, 'sec-websocket-accept') === undefined) {
        attempt.fail('the answer has no Sec-WebSocket-Accept, which some clients need');
      }
    },
    {
      level: 'advice',
      expects: 'undici and haproxy send a key, and undici needs the answer to it',
    },
  );
  const invalid = chapter.section({
    ...ACCEPTED,
    level: 'should',
    expects: 'the server ignores the field, which HTTP/2 does not use',
  });
  for (const [title, ...values] of [
    ['an invalid Sec-WebSocket-Key', 'short'],
    ['an empty Sec-WebSocket-Key', ''],
    ['Sec-WebSocket-Key twice', KEY, KEY],
  ] as const) {
    const more = values.map((value): Field => ['sec-websocket-key', value]);
    invalid(title, async (attempt) => {
      const head = await expectAccepted(attempt, { fields: withFields(...more) });
      if (fieldOf(head, 'sec-websocket-accept') !== undefined) {
        attempt.fail('the answer has Sec-WebSocket-Accept for a key that is not valid');
      }
    });
  }
}

function offers(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...ACCEPTED, section: 'RFC 8441, 5; RFC 6455, 4.2.2' });
  for (const [title, ...lines] of [
    ['two subprotocols in one line', 'one.example, two.example'],
    ['two subprotocols in two lines', 'one.example', 'two.example'],
  ] as const) {
    const more = lines.map((line): Field => ['sec-websocket-protocol', line]);
    add(title, async (attempt) => {
      const subprotocols = ['one.example', 'two.example'];
      await expectAccepted(attempt, { fields: withFields(...more), subprotocols });
    });
  }
  for (const [title, offer, ...extensions] of [
    ['permessage-deflate', DEFLATE_OFFER, 'permessage-deflate'],
    ['an unknown extension', 'x-unknown; level=3'],
  ] as const) {
    add(`an offer of ${title}`, async (attempt) => {
      const session = withFields(['sec-websocket-extensions', offer]);
      await expectAccepted(attempt, { fields: session, extensions });
    });
  }
  const refused = chapter.section({ ...REFUSED, section: 'RFC 6455, 9.1', level: 'should' });
  addAll(
    refused,
    ['permessage-deflate; =', '; x', 'a b'].map((offer) => [
      `Sec-WebSocket-Extensions: ${offer}`,
      withFields(['sec-websocket-extensions', offer]),
    ]),
    expectRefused,
  );
}

function pseudoFields(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...REFUSED, section: 'RFC 8441, 4; RFC 9113, 8.3' });
  const names = [':method', ':protocol', ':scheme', ':authority', ':path'];
  addAll(
    add,
    // A proxy may have a Host instead of `:authority`. Here is none.
    names.map((name) => [`no ${name}`, without(name)]),
    expectRefused,
  );
  addAll(
    add,
    names.map((name) => [`${name} twice`, twice(name)]),
    expectRefused,
  );
  addAll(
    add,
    [':method', ':protocol', ':scheme', ':path'].map((name) => [
      `an empty ${name}`,
      withValue(name, ''),
    ]),
    expectRefused,
  );
  addAll(
    add,
    [
      ['an unknown pseudo-header field', withFirst(':x-unknown', '1')],
      [':status in a request', withFirst(':status', '200')],
      [
        'a pseudo-header field after a field',
        (usual) => [...withoutField(usual, ':path'), ...usual.filter(([name]) => name === ':path')],
      ],
      ['a :path without a slash', withValue(':path', 'chat')],
      ['a :path with a space', withValue(':path', '/a b')],
      ['user information in :authority', withValue(':authority', 'user@localhost')],
    ],
    expectRefused,
  );
}

function otherRequests(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...REFUSED, section: 'RFC 8441, 4 and 5' });
  addAll(
    add,
    [
      ...['connect-udp', 'websockets', 'webtransport', 'h2c'].map(
        (name): RequestRow => [`:protocol ${name}`, withValue(':protocol', name)],
      ),
      ...['GET', 'POST', 'connect'].map(
        (name): RequestRow => [`method ${name} with :protocol`, withValue(':method', name)],
      ),
      [
        'CONNECT without :protocol, :scheme and :path',
        (usual) => usual.filter(([name]) => ![':protocol', ':scheme', ':path'].includes(name)),
        { section: 'RFC 9113, 8.5' },
      ],
    ],
    expectRefused,
  );
}

function fields(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...REFUSED, section: 'RFC 9113, 8.2.2' });
  const ofConnection: readonly Field[] = [
    ['connection', 'upgrade'],
    ['upgrade', 'websocket'],
    ['keep-alive', 'timeout=5'],
    ['proxy-connection', 'keep-alive'],
    ['transfer-encoding', 'chunked'],
    ['te', 'gzip'],
  ];
  addAll(
    add,
    ofConnection.map((field) => [field.join(': '), withFields(field)]),
    expectRefused,
  );
  const malformed = chapter.section({ ...REFUSED, section: 'RFC 9113, 8.2.1 and 8.3.1' });
  addAll(
    malformed,
    [
      ['a field name in upper case', withFields(['X-Upper', '1'])],
      ['Host that differs from :authority', withHost(() => 'elsewhere.example')],
      ['Host twice', (usual) => withHost((host) => host)(withHost((host) => host)(usual))],
      // RFC 9110, 8.6: bytes after the request are frames, and no content.
      ['Content-Length: 5', withFields(['content-length', '5']), { level: 'should' }],
      ['Content-Length: five', withFields(['content-length', 'five'])],
      ['NUL in Sec-WebSocket-Version, after 13', withValue('sec-websocket-version', '13\0')],
      ['CR and LF in Sec-WebSocket-Version', withValue('sec-websocket-version', '13\r\nx: y')],
    ],
    expectRefused,
  );
}

function versions(chapter: Chapter<ServerAttempt>): void {
  const facts = { ...REFUSED, section: 'RFC 8441, 5; RFC 6455, 4.2.1' };
  const add = chapter.section(facts);
  const name = 'sec-websocket-version';
  addAll(
    add,
    [
      ['no Sec-WebSocket-Version', without(name)],
      ['an empty Sec-WebSocket-Version', withValue(name, '')],
      ['Sec-WebSocket-Version: 13, 8', withValue(name, '13, 8')],
      ['Sec-WebSocket-Version twice, 13 and 8', withFields([name, '8'])],
      ['Sec-WebSocket-Version twice, both 13', withFields([name, '13'])],
      ['Sec-WebSocket-Version: 13a', withValue(name, '13a')],
    ],
    expectRefused,
  );
  const unknown = chapter.section({
    ...facts,
    section: 'RFC 6455, 4.2.2 and 4.4',
    expects: 'the server refuses the handshake, and Sec-WebSocket-Version lists 13',
  });
  for (const version of [8, 14, 255]) {
    unknown(`Sec-WebSocket-Version: ${version}`, async (attempt) => {
      const head = await expectRefused(attempt, { fields: withValue(name, String(version)) });
      const lines = head === undefined ? [] : fieldLines(head, name);
      if (!lines.flatMap((line) => line.split(',')).some((one) => one.trim() === '13')) {
        attempt.fail('the refusal does not list version 13 in Sec-WebSocket-Version (4.4)');
      }
    });
  }
}

/** Requests that a server may accept or refuse. */
function either(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    title: 'an odd request over HTTP/2',
    section: 'RFC 9113, 8.3.1',
    level: 'advice',
    expects: 'an answer, a reset or the end of the session; after a 200, a working connection',
  });
  addAll(
    add,
    [
      [
        'Host without :authority',
        (usual) => withoutField(withHost((host) => host)(usual), ':authority'),
      ],
      [
        'the other :scheme',
        (usual) =>
          usual.map(([name, value]) =>
            name === ':scheme' ? [name, value === 'http' ? 'https' : 'http'] : [name, value],
          ),
      ],
      [':scheme ws', withValue(':scheme', 'ws')],
      [':protocol WebSocket', withValue(':protocol', 'WebSocket'), { section: 'RFC 8441, 4' }],
      ['a :path with a fragment', withValue(':path', '/#fragment')],
      ['an absolute URI as :path', withValue(':path', 'http://localhost/')],
      ['the :path *', withValue(':path', '*')],
      [
        'the Origin of another site',
        withFields(['origin', 'https://elsewhere.example']),
        { section: 'RFC 6455, 4.2.2 and 10.2' },
      ],
      ['Origin twice', withFields(['origin', 'http://localhost'], ['origin', 'http://localhost'])],
      ['a field of 60,000 bytes', withFields(['x-long', 'x'.repeat(60_000)])],
      [
        'a thousand fields',
        withFields(...Array.from({ length: 1000 }, (_, at): Field => [`x-${at}`, 'x'])),
      ],
      ['CR and LF in a value', withFields(['x-odd', 'a\r\nb: c'])],
      ['a field name with a space', withFields(['x odd', '1'])],
    ],
    expectAnswered,
  );
}
