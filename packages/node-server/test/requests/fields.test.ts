import { describe, it } from 'vitest';
import { KEY, trapLeftovers } from '../raw.ts';
import { answering, type Row } from './answered.ts';

trapLeftovers();

const HOST_ONCE = /'Host' header must occur exactly once/;
const NO_HOST = /'Host' header is not a valid host/;
const CONNECTION = /this is a WebSocket server/;
const VERSION = /unsupported version: 13 not found in 'Sec-Websocket-Version' header/;
const KEYS = /'Sec-WebSocket-Key' header must be Base64 encoded value of 16-byte in length/;
const ORIGIN = /^origin \S+ does not match host \S+/;
const only13 = {
  upgrade: 'websocket',
  connection: 'close, Upgrade',
  'sec-websocket-version': '13',
};

// biome-ignore format: a table
const HOST: readonly Row[] = [
  { says: 'no Host', without: ['host'], status: 400, text: HOST_ONCE },
  { says: 'the same Host twice', add: ['Host: server.example.com'], status: 400, text: HOST_ONCE },
  { says: 'two Hosts', add: ['Host: other.example'], status: 400, text: HOST_ONCE },
  { says: 'an empty Host', set: ['Host:'], status: 400, text: NO_HOST },
  { says: 'a Host of spaces', set: ['Host:   '], status: 400, text: NO_HOST },
  { says: 'a Host with a space', set: ['Host: a b'], status: 400, text: NO_HOST },
  { says: 'a Host with a tab', set: ['Host: a\tb'], status: 400, text: NO_HOST },
  { says: 'a Host with a path', set: ['Host: a/b'], status: 400, text: NO_HOST },
  { says: 'a Host with a backslash', set: ['Host: a\\b'], status: 400, text: NO_HOST },
  { says: 'a Host with a query', set: ['Host: a?b'], status: 400, text: NO_HOST },
  { says: 'a Host with a fragment', set: ['Host: a#b'], status: 400, text: NO_HOST },
  { says: 'a Host with user info', set: ['Host: a@b'], status: 400, text: NO_HOST },
  { says: 'a Host that is a list', set: ['Host: a, b'], status: 400, text: NO_HOST },
  { says: 'a Host that is a URL', set: ['Host: http://a'], status: 400, text: NO_HOST },
  { says: 'a Host with a port that is none', set: ['Host: a:b'], status: 400, text: NO_HOST },
  { says: 'a Host with a port too high', set: ['Host: a:65536'], status: 400, text: NO_HOST },
  { says: 'a Host with a port too long', set: ['Host: a:000080'], status: 400, text: NO_HOST },
  { says: 'a Host with a negative port', set: ['Host: a:-1'], status: 400, text: NO_HOST },
  { says: 'a Host with two ports', set: ['Host: a:1:2'], status: 400, text: NO_HOST },
  { says: 'a Host that is a port', set: ['Host: :80'], status: 400, text: NO_HOST },
  { says: 'an IPv6 Host without brackets', set: ['Host: ::1'], status: 400, text: NO_HOST },
  { says: 'an IPv6 Host that is not closed', set: ['Host: [::1'], status: 400, text: NO_HOST },
  { says: 'an IPv6 Host with a letter', set: ['Host: [::g]'], status: 400, text: NO_HOST },
  { says: 'an IPv6 Host of colons', set: ['Host: [:::]'], status: 400, text: NO_HOST },
  { says: 'an IPv6 Host with a zone', set: ['Host: [fe80::1%25eth0]'], status: 400, text: NO_HOST },
  { says: 'empty brackets for a Host', set: ['Host: []'], status: 400, text: NO_HOST },
  { says: 'Latin-1 in the Host', set: ['Host: caf\xe9.example'], status: 400, text: NO_HOST },
  { says: 'a Host with a port', set: ['Host: server.example.com:8080'], status: 101 },
  { says: 'a Host with an empty port', set: ['Host: a:'], status: 101 },
  { says: 'the port 0', set: ['Host: 127.0.0.1:0'], status: 101 },
  { says: 'the highest port', set: ['Host: a_b.example:65535'], status: 101 },
  { says: 'an IPv6 Host', set: ['Host: [::1]:8080'], status: 101 },
  { says: 'an IPv6 Host with an IPv4 address in it', set: ['Host: [::ffff:192.0.2.1]'], status: 101 },
  { says: 'a Host with a dot at the end', set: ['Host: server.example.com.'], status: 101 },
  { says: 'space around the Host', set: ['Host: \t a.example \t'], status: 101 },
  { says: 'names of fields in other letters', raw: `GET / HTTP/1.1\r\nhOST:a\r\nUPGRADE:websocket\r\nconnection:Upgrade\r\nsec-websocket-KEY:${KEY}\r\nSEC-WEBSOCKET-VERSION:13\r\n\r\n`, status: 101 },
];

// biome-ignore format: a table
const CONNECTION_AND_UPGRADE: readonly Row[] = [
  { says: 'no Connection', without: ['connection'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'an empty Connection', set: ['Connection:'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'Connection: close', set: ['Connection: close'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'Connection: websocket', set: ['Connection: websocket'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'Connection: upgrades', set: ['Connection: upgrades'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'Connection: "upgrade"', set: ['Connection: "upgrade"'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'no Upgrade', without: ['upgrade'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'neither', without: ['connection', 'upgrade'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'an empty Upgrade', set: ['Upgrade:'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'a foreign protocol', set: ['Upgrade: h2c'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'TLS for a protocol', set: ['Upgrade: TLS/1.0'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'a longer token', set: ['Upgrade: websockets'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'a shorter token', set: ['Upgrade: web'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'two words in a token', set: ['Upgrade: x websocket'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'a word after the token', set: ['Upgrade: websocket x'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'a token with a version', set: ['Upgrade: websocket/13'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'a token with a parameter', set: ['Upgrade: websocket; x'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'a token in quotes', set: ['Upgrade: "websocket"'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'a semicolon for a comma', set: ['Upgrade: foo; websocket'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'the Kelvin sign in a token', set: ['Upgrade: websoc\xe2\x84\xaaet'], status: 426, text: CONNECTION, headers: only13, plain: true },
  { says: 'other letters', set: ['Upgrade: WebSocket', 'Connection: uPGRADE'], status: 101 },
  { says: 'lists', set: ['Upgrade: foo/2, websocket', 'Connection: keep-alive, Upgrade'], status: 101 },
  { says: 'lists over several lines', set: ['Connection: keep-alive', 'Upgrade: foo/2'], add: ['Upgrade: websocket', 'Connection: Upgrade'], status: 101 },
  { says: 'lists with empty elements', set: ['Upgrade: , ,websocket,,', 'Connection: ,\t,Upgrade,'], status: 101 },
  { says: 'a token twice', set: ['Upgrade: websocket, websocket', 'Connection: Upgrade'], add: ['Connection: upgrade'], status: 101 },
  { says: 'an element that is not a token beside it', set: ['Upgrade: a b, websocket'], status: 101 },
  { says: 'close beside upgrade', set: ['Connection: close, Upgrade'], status: 101 },
  { says: 'other fields that are named in Connection', set: ['Connection: Upgrade, Origin, X-A'], status: 101 },
];

// biome-ignore format: a table
const VERSION_AND_KEY: readonly Row[] = [
  { says: 'no version', without: ['sec-websocket-version'], status: 400, text: VERSION },
  { says: 'the version twice', add: ['Sec-WebSocket-Version: 13'], status: 400, text: VERSION },
  { says: 'two versions', add: ['Sec-WebSocket-Version: 8'], status: 400, text: VERSION },
  ...['', '0', '7', '8', '12', '14', '113', '131', '13a', '013', '+13', '13.0', '0xd', '1 3', '"13"', '8, 13', '13, 8', '13,', '13;', '-13', '\xb9\xb3'].map((version): Row => ({ says: `version ${JSON.stringify(version)}`, set: [`Sec-WebSocket-Version: ${version}`], status: 426, text: VERSION, headers: only13 })),
  { says: 'space around the version', set: ['Sec-WebSocket-Version:  13\t'], status: 101 },
  { says: 'no key', without: ['sec-websocket-key'], status: 400, text: KEYS },
  { says: 'the key twice', add: [`Sec-WebSocket-Key: ${KEY}`], status: 400, text: KEYS },
  { says: 'two keys', add: ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='], status: 400, text: KEYS },
  { says: 'an empty key', set: ['Sec-WebSocket-Key:'], status: 400, text: KEYS },
  { says: 'a key of 1 byte', set: ['Sec-WebSocket-Key: AA=='], status: 400, text: KEYS },
  { says: 'a key of 15 bytes', set: ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j'], status: 400, text: KEYS },
  { says: 'a key of 17 bytes', set: ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU='], status: 400, text: KEYS },
  { says: 'a key of 18 bytes', set: ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWVl'], status: 400, text: KEYS },
  { says: 'a key of 8 KB', set: [`Sec-WebSocket-Key: ${'A'.repeat(8_190)}==`], status: 400, text: KEYS },
  { says: 'a key without padding', set: ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ'], status: 400, text: KEYS },
  { says: 'a key with half its padding', set: ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ='], status: 400, text: KEYS },
  { says: 'a key with a star', set: ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25*ZQ=='], status: 400, text: KEYS },
  { says: 'a key in base64url', set: ['Sec-WebSocket-Key: _-hlIHNhbXBsZSBub25jZQ=='], status: 400, text: KEYS },
  { says: 'a key with a space', set: ['Sec-WebSocket-Key: dGhlIHNhbXBs ZSBub25jZQ=='], status: 400, text: KEYS },
  { says: 'a key in quotes', set: [`Sec-WebSocket-Key: "${KEY}"`], status: 400, text: KEYS },
  { says: 'a key with a comma', set: [`Sec-WebSocket-Key: ${KEY},`], status: 400, text: KEYS },
  { says: 'a key in hex', set: ['Sec-WebSocket-Key: 746865207361'], status: 400, text: KEYS },
  { says: 'a key of padding', set: ['Sec-WebSocket-Key: ========================'], status: 400, text: KEYS },
  { says: 'Latin-1 in the key', set: ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ\xe9=='], status: 400, text: KEYS },
  { says: 'space around the key', set: [`Sec-WebSocket-Key:\t${KEY}  `], status: 101 },
  { says: 'a key of zeros', set: ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='], status: 101, headers: { 'sec-websocket-accept': 'ICX+Yqv66kxgM0FcWaLWlFLwTAI=' } },
  { says: 'a key of ones', set: ['Sec-WebSocket-Key: /////////////////////w=='], status: 101, headers: { 'sec-websocket-accept': 'XXpj4jYzLM2yUE0C7TIgMwTQh2g=' } },
];

const from = (origin: string, status: number, host = 'server.example.com'): Row => ({
  says: `Origin: ${origin} at ${host}`,
  set: [`Host: ${host}`],
  add: [`Origin: ${origin}`],
  status,
  ...(status === 403 ? { text: ORIGIN } : {}),
});

// biome-ignore format: a table
const ORIGINS: readonly Row[] = [
  { says: 'a repeated origin', add: ['Origin: http://server.example.com', 'Origin: http://server.example.com'], status: 400, text: /'Origin' header is repeated/ },
  { says: 'two origins', add: ['Origin: http://server.example.com', 'Origin: https://evil.example'], status: 400, text: /'Origin' header is repeated/ },
  from('https://evil.example', 403),
  from('null', 403),
  from('', 403),
  from('file://', 403),
  from('*', 403),
  from('server.example.com', 403),
  from('//server.example.com', 403),
  from('https:server.example.com', 403),
  from('https://server.example.com.evil.example', 403),
  from('https://evil-server.example.com', 403),
  from('https://server.example.com:8443', 403),
  from('https://server.example.com', 403, 'server.example.com:80'),
  from('http://server.example.com', 403, 'server.example.com:443'),
  from('https://server.example.com.', 403),
  from('https://server.example.com@evil.example', 403),
  from('https://evil.example/server.example.com', 403),
  from('https://evil.example#server.example.com', 403),
  from('https://evil.example\\@server.example.com', 403),
  from('https://evil.example,https://server.example.com', 403),
  from('https://server.example.com, https://evil.example', 403),
  from('https://server.example.com https://evil.example', 403),
  from('https://server.example.com%00.evil.example', 403),
  from('http://a:b', 403, 'a'),
  from('http://a:99999', 403, 'a'),
  from('http://[::2]', 403, '[::1]'),
  from('http://[::1', 403, '[::1]'),
  from('http://::1', 403, '[::1]'),
  from('http://127.0.0.1', 403, 'localhost'),
  from('http://localhost:3000', 403, 'localhost:8080'),
  from('https://example.org', 403),
  from('http://app.example.org', 403),
  from('https://app.example.org:8443', 403),
  from('https://.example.org', 403),
  from('https://evilexample.org', 403),
  from('http://dev.example:3001', 403),
  from('http://[2001:db8::2]:3000', 403),
  from('https://server.example.com', 101),
  from('http://server.example.com', 101),
  from('HTTPS://SERVER.example.COM', 101),
  from('https://server.example.com:443', 101),
  from('https://server.example.com', 101, 'server.example.com:443'),
  from('http://server.example.com:80', 101),
  from('http://[::1]:3000', 101, '[::1]:3000'),
  from('http://[::1]', 101, '[::1]'),
  from('http://[2001:DB8::A]:80', 101, '[2001:db8::a]'),
  from('http://[::1]', 101, '[0:0:0:0:0:0:0:1]'),
  from('http://[2001:db8:0::0:1]:3000', 101),
  from('http://[:::]', 403, '[::]'),
  from('http://127.0.0.1:8080', 101, '127.0.0.1:8080'),
  from('https://app.example.org', 101),
  from('https://a.b.example.org:443', 101),
  from('http://dev.example:3000', 101),
  from('http://x.dev.example:3000', 101),
  from('http://[2001:db8::1]:3000', 101),
];

const allowedOrigins = [
  'https://*.example.org',
  'http://dev.example:3000',
  'http://*.dev.example:3000',
  'http://[2001:db8::1]:3000',
];

describe('an upgrade request', () => {
  const answered = answering({ allowedOrigins });
  it.each(HOST)('with $says is answered with $status', answered);
  it.each(CONNECTION_AND_UPGRADE)('with $says for Connection and Upgrade gets $status', answered);
  it.each(VERSION_AND_KEY)('with $says gets $status', answered);
  it.each(ORIGINS)('$says gets $status', answered);
});
