import type { ServerAttempt } from '../attempts/server-attempt.ts';
import type { AddCase, Chapter, SectionFacts } from '../model/chapter.ts';
import { withoutField } from '../wire/handshake.ts';
import { fieldLines, type Head, statusOf } from '../wire/head.ts';
import {
  expectAnswered,
  expectRefused,
  type HandshakeRequest,
  type RefusalKind,
  withFields,
  withValue,
} from './handshake-requests.ts';

/** Adds sections about requests that a server must refuse. */
export function refusals(chapter: Chapter<ServerAttempt>): void {
  methods(chapter);
  versionsOfHttp(chapter);
  fieldsMissing(chapter);
  hosts(chapter);
  upgrades(chapter);
  keys(chapter);
  versions(chapter);
  draftVersions(chapter);
  malformedVersions(chapter);
  versionsWithZeros(chapter);
}

const REFUSED = {
  title: 'an invalid handshake',
  section: 'RFC 6455, 4.2.1',
  expects: 'the server refuses the handshake with an HTTP error',
};

/** A server may ignore Upgrade (RFC 9110, 7.8) and answer a request that is no handshake. */
const NOT_UPGRADED = {
  title: 'no handshake',
  section: 'RFC 6455, 4.2.1; RFC 9110, 7.8',
  expects: 'the server answers without 101',
};

/** Formats a field for a title. */
function fieldText(name: string, value: string): string {
  return `${name}: ${value === '' ? '(empty)' : value}`;
}

type RequestRow = readonly [title: string, request: HandshakeRequest];

function addAll(
  add: AddCase<ServerAttempt>,
  requests: readonly RequestRow[],
  kind?: RefusalKind,
  own?: Partial<SectionFacts>,
): void {
  for (const [title, request] of requests) {
    add(
      title,
      async (attempt) => {
        await expectRefused(attempt, request, kind);
      },
      own,
    );
  }
}

function methods(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(NOT_UPGRADED);
  const names = ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'get', 'Get', 'BREW'];
  addAll(
    add,
    names.map((name) => [`method ${name}`, { start: (target) => `${name} ${target} HTTP/1.1` }]),
    'request',
  );
}

function versionsOfHttp(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({
    ...NOT_UPGRADED,
    expects: 'the server answers without 101, or ends the connection',
  });
  addAll(
    add,
    ['HTTP/1.0', 'HTTP/0.9', 'HTTP/1', 'http/1.1', 'HTP/1.1'].map((version) => [
      `a request with version ${version}`,
      { start: (target) => `GET ${target} ${version}` },
    ]),
    'garbage',
  );
  addAll(
    add,
    [['a request without an HTTP version', { start: (target) => `GET ${target}` }]],
    'garbage',
  );
}

function fieldsMissing(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(REFUSED);
  for (const [name, kind] of [
    ['Host', 'handshake'],
    ['Upgrade', 'request'],
    ['Connection', 'request'],
    ['Sec-WebSocket-Key', 'handshake'],
    ['Sec-WebSocket-Version', 'handshake'],
  ] as const) {
    addAll(add, [[`no ${name}`, { fields: (fields) => withoutField(fields, name) }]], kind);
  }
  addAll(
    add,
    [
      ['no field but Host', { fields: (fields) => fields.slice(0, 1) }],
      ['no field at all', { fields: () => [] }],
    ],
    'request',
  );
}

function hosts(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section({ ...REFUSED, section: 'RFC 9112, 3.2' });
  addAll(add, [
    ['Host twice, the same', { fields: (fields) => [fields[0]!, ...fields] }],
    ['Host twice, different', { fields: withFields(['Host', 'elsewhere.example']) }],
    ['an invalid Host', { fields: withValue('Host', 'not a host/at all') }],
  ]);
}

/** Values of Upgrade without the token websocket. */
const BAD_UPGRADES = [
  '',
  'h2c',
  'websockets',
  'web-socket',
  'web socket',
  'websocke',
  'xwebsocket',
  'TLS/1.0',
];

/** Values of Connection without the token Upgrade. */
const BAD_CONNECTIONS = [
  '',
  'keep-alive',
  'close',
  'Upgraded',
  'no-upgrade',
  'keep-alive; Upgrade',
  'up grade',
];

function upgrades(chapter: Chapter<ServerAttempt>): void {
  const add = chapter.section(NOT_UPGRADED);
  addAll(
    add,
    BAD_UPGRADES.map((value) => [
      fieldText('Upgrade', value),
      { fields: withValue('Upgrade', value) },
    ]),
    'request',
  );
  addAll(
    add,
    BAD_CONNECTIONS.map((value) => [
      fieldText('Connection', value),
      { fields: withValue('Connection', value) },
    ]),
    'request',
  );
}

/** Requests without exactly one key. */
const UNUSABLE_KEYS: readonly RequestRow[] = [
  ['Sec-WebSocket-Key twice, the same', { fields: (fields) => [...fields, fields[3]!] }],
  [
    'Sec-WebSocket-Key twice, different',
    { fields: withFields(['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==']) },
  ],
  ['an empty Sec-WebSocket-Key', { key: '' }],
];

/** Requests with a key that is base64, but not of 16 bytes. */
const KEYS_OF_OTHER_SIZES: readonly RequestRow[] = [
  ['a key of 15 bytes', { key: Buffer.alloc(15, 7).toString('base64') }],
  ['a key of 17 bytes', { key: Buffer.alloc(17, 7).toString('base64') }],
  ['a key of one byte', { key: 'AA==' }],
  ['a key of 32 bytes', { key: Buffer.alloc(32, 7).toString('base64') }],
  ['a key of 4000 bytes', { key: Buffer.alloc(3000, 7).toString('base64') }],
];

/** Requests with a key that is not the base64 of 16 bytes. */
const MALFORMED_KEYS: readonly RequestRow[] = [
  ['a key that is not base64', { key: '!!!!!!!!!!!!!!!!!!!!!!==' }],
  ['a key without its padding', { key: 'AAAAAAAAAAAAAAAAAAAAAA' }],
  ['a key with half of its padding', { key: 'AAAAAAAAAAAAAAAAAAAAAA=' }],
  ['a key with too much padding', { key: 'AAAAAAAAAAAAAAAAAAAAAA===' }],
  ['a key with padding in the middle', { key: 'AAAAAAAAAA==AAAAAAAAAA==' }],
  ['a key that contains a space', { key: 'AAAAAAAAAAA AAAAAAAAAA==' }],
  ['a key in the URL alphabet', { key: '-_-_-_-_-_-_-_-_-_-_-w==' }],
  ['a key with a comma', { key: 'AAAAAAAAAAAAAAAAAAAAAA==, x' }],
  ['a key in quotes', { key: '"AAAAAAAAAAAAAAAAAAAAAA=="' }],
];

function keys(chapter: Chapter<ServerAttempt>): void {
  const must = chapter.section({ ...REFUSED, section: 'RFC 6455, 4.2.1 and 11.3.1' });
  addAll(must, UNUSABLE_KEYS);
  const should = chapter.section({ ...REFUSED, level: 'should' });
  // RFC 6455, 4.2.2: a server need not decode the key.
  addAll(should, KEYS_OF_OTHER_SIZES, 'handshake', { level: 'advice' });
  addAll(should, MALFORMED_KEYS);
}

function versions(chapter: Chapter<ServerAttempt>): void {
  const unknown = chapter.section({
    title: 'another version',
    section: 'RFC 6455, 4.2.2 and 4.4',
    expects: 'the server refuses the handshake, and Sec-WebSocket-Version lists 13',
  });
  for (const version of [14, 25, 130, 255]) {
    unknown(`Sec-WebSocket-Version: ${version}`, async (attempt) => {
      judgeVersions(attempt, await expectRefused(attempt, ofVersion(version)));
    });
  }
}

function draftVersions(chapter: Chapter<ServerAttempt>): void {
  const drafts = chapter.section({
    title: 'the version of a draft',
    section: 'RFC 6455, 4.2.2 and 4.4',
    expects: 'the server refuses and lists 13 in Sec-WebSocket-Version, or supports the draft',
  });
  for (const version of [0, 4, 7, 8, 12]) {
    drafts(`Sec-WebSocket-Version: ${version}`, async (attempt) => {
      const head = await expectAnswered(attempt, ofVersion(version), 'handshake');
      judgeVersions(attempt, head);
    });
  }
}

function malformedVersions(chapter: Chapter<ServerAttempt>): void {
  const odd = chapter.section({ ...REFUSED, section: 'RFC 6455, 4.1, 4.2.1 and 11.3.5' });
  addAll(
    odd,
    ['', 'thirteen', '13.0', '+13', '-13', '0x0d', '1 3', '256', '1313', '13a', '13;q=1'].map(
      (value) => [
        fieldText('Sec-WebSocket-Version', value),
        { fields: withValue('Sec-WebSocket-Version', value) },
      ],
    ),
  );
  addAll(odd, [
    [
      'Sec-WebSocket-Version twice, 13 and 8',
      { fields: withFields(['Sec-WebSocket-Version', '8']) },
    ],
    [
      'Sec-WebSocket-Version twice, both 13',
      { fields: withFields(['Sec-WebSocket-Version', '13']) },
    ],
    ['Sec-WebSocket-Version: 13, 8', { fields: withValue('Sec-WebSocket-Version', '13, 8') }],
  ]);
}

function versionsWithZeros(chapter: Chapter<ServerAttempt>): void {
  const zeros = chapter.section({ ...REFUSED, level: 'should', section: 'RFC 6455, 4.3' });
  addAll(
    zeros,
    ['013', '0013'].map((value) => [
      `Sec-WebSocket-Version: ${value}`,
      { fields: withValue('Sec-WebSocket-Version', value) },
    ]),
  );
}

function ofVersion(version: number): HandshakeRequest {
  return { fields: withValue('Sec-WebSocket-Version', String(version)) };
}

function judgeVersions(attempt: ServerAttempt, head: Head | undefined): void {
  if (head === undefined) return;
  const lines = fieldLines(head, 'sec-websocket-version').flatMap((line) => line.split(','));
  if (!lines.some((one) => one.trim() === '13')) {
    attempt.fail('the refusal does not list version 13 in Sec-WebSocket-Version (4.4)');
  }
  // RFC 9110, 15.5.22: a 426 must name the protocol.
  if (statusOf(head) === 426 && fieldLines(head, 'upgrade').length === 0) {
    attempt.fail('the 426 has no Upgrade (RFC 9110, 15.5.22)');
  }
}
