import { describe, it } from 'vitest';
import { trapLeftovers } from '../raw.ts';
import { answering, type Row } from './answered.ts';

trapLeftovers();

const PROTOCOL = /malformed 'Sec-WebSocket-Protocol' header/;
const EXTENSIONS = /malformed 'Sec-WebSocket-Extensions' header/;
const names = (n: number): string => Array.from({ length: n }, (_, i) => `p${i}`).join(',');

const offered = (lines: readonly string[], rest: Partial<Row> & { status: number }): Row => ({
  says: lines
    .map((line) => JSON.stringify(line.length > 40 ? `${line.slice(0, 40)}...` : line))
    .join(' and '),
  add: lines.map((line) => `Sec-WebSocket-Protocol: ${line}`),
  ...rest,
});

const chosen = (protocol: string, ...lines: string[]): Row =>
  offered(lines, { status: 101, protocol });
const none = (...lines: string[]): Row => offered(lines, { status: 101 });
const refused = (...lines: string[]): Row => offered(lines, { status: 400, text: PROTOCOL });

const PROTOCOLS: readonly Row[] = [
  chosen('chat', 'chat'),
  chosen('chat', 'superchat, chat'),
  chosen('chat', 'chat,superchat'),
  chosen('chat', 'x', 'superchat', 'chat'),
  chosen('superchat', 'x, superchat'),
  chosen('superchat', ' \tsuperchat\t '),
  chosen('chat', ', ,chat,,'),
  chosen('chat', `${names(63)},chat`),
  chosen('toString', 'toString'),
  none(''),
  none(','),
  none('Chat'),
  none('CHAT, SuperChat'),
  none('chats'),
  none('evil, worse'),
  none('__proto__, constructor, hasOwnProperty'),
  none('!#$%&*+-.^_|~'),
  refused('chat, chat'),
  refused('chat', 'chat'),
  refused('a b'),
  refused('chat superchat'),
  refused('chat; x=1'),
  refused('"chat"'),
  refused('chat/2'),
  refused('<script>'),
  refused('chat, caf\xe9'),
  refused('chat', 'a b'),
  refused('chat:'),
  refused('[chat]'),
  refused('chat, @'),
  refused(`b${' '.repeat(4_000)}x`),
  refused(`b${' '.repeat(15_000)}x`),
  refused(`chat,${names(64)}`),
  refused(names(1_000)),
  refused(`chat, ${'x'.repeat(4_096)}`),
];

const extended = (lines: readonly string[], status: number): Row => ({
  says: lines
    .map((line) => JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}...` : line))
    .join(' and '),
  add: lines.map((line) => `Sec-WebSocket-Extensions: ${line}`),
  status,
  ...(status === 400 ? { text: EXTENSIONS } : {}),
});

// biome-ignore format: a table
const EXTENDED: readonly Row[] = [
  { says: 'subprotocols without an offer', add: ['Sec-WebSocket-Protocol: evil, worse'], status: 101 },
  extended([''], 101),
  extended([',, ,'], 101),
  extended(['permessage-deflate'], 101),
  extended(['permessage-deflate; client_max_window_bits'], 101),
  extended(['permessage-deflate; server_max_window_bits=10; client_no_context_takeover'], 101),
  extended(['permessage-deflate; server_max_window_bits="10"'], 101),
  extended(['permessage-deflate; server_max_window_bits=7'], 101),
  extended(['permessage-deflate; server_max_window_bits=99999999999999999999'], 101),
  extended(['permessage-deflate; client_max_window_bits; client_max_window_bits'], 101),
  extended(['permessage-deflate; nobody_knows'], 101),
  extended(['permessage-deflate', 'permessage-deflate; client_max_window_bits'], 101),
  extended(['x-webkit-deflate-frame', 'permessage-bzip2; level=9'], 101),
  extended(['__proto__; constructor=hasOwnProperty', 'toString; __proto__=1'], 101),
  extended(['a ; b = c ; d'], 101),
  extended(['a;b="c\\d"'], 101),
  extended([Array(16).fill('a').join(',')], 101),
  extended([`a${'; b'.repeat(16)}`], 101),
  extended([';'], 400),
  extended(['a;'], 400),
  extended(['a; ;b'], 400),
  extended(['a b'], 400),
  extended(['a=b'], 400),
  extended(['a; b='], 400),
  extended(['a; =b'], 400),
  extended(['a; b=c d'], 400),
  extended(['a; b="c'], 400),
  extended(['a; b="c d"'], 400),
  extended(['a; b=""'], 400),
  extended(['a; b="c"d'], 400),
  extended(['"a"'], 400),
  extended(['a/b'], 400),
  extended(['caf\xe9'], 400),
  extended(['permessage-deflate; client_max_window_bits=(10)'], 400),
  extended(['a', 'b c'], 400),
  extended([Array(17).fill('a').join(',')], 400),
  extended([`a${'; b'.repeat(17)}`], 400),
  extended(['permessage-deflate,'.repeat(200)], 400),
  extended([`a; b="${'\\c'.repeat(7_000)}`], 400),
  extended([`a; b="${'\\c'.repeat(1_000)}`], 400),
  extended([`a${' '.repeat(4_096)}`], 101),
  extended([`a${' '.repeat(4_096)}b`], 400),
];

describe('offered subprotocols', () => {
  const answered = answering({ subprotocols: ['chat', 'superchat', 'toString'] });
  it.each(PROTOCOLS)('as $says get $status', answered);
});

describe('offered extensions', () => {
  const answered = answering();
  it.each(EXTENDED)('as $says get $status', answered);
});
