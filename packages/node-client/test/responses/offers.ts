import { CONN, HI, head, no, open, opens, plus, type Row, refused, UP } from './row.ts';

const EXT = 'Sec-WebSocket-Extensions';
const PROTO = 'Sec-WebSocket-Protocol';
const notOffered = (header: string, value: string) =>
  refused(101, `${header} "${value}" was not offered`);

export const extensions: Row[] = [
  ['permessage-deflate', plus(`${EXT}: permessage-deflate`), notOffered(EXT, 'permessage-deflate')],
  ['an unknown one with a parameter', plus(`${EXT}: x-foo; a=1`), notOffered(EXT, 'x-foo; a=1')],
  ['a list', plus(`${EXT}: a, b`), notOffered(EXT, 'a, b')],
  ['two lines', plus(`${EXT}: a`, `${EXT}: b`), notOffered(EXT, 'a, b')],
  ['an empty list', plus(`${EXT}:`), notOffered(EXT, '')],
  ['a list of commas', plus(`${EXT}: , ,`), notOffered(EXT, ', ,')],
  ['text that is not a list', plus(`${EXT}: ;;"`), notOffered(EXT, ';;"')],
  ['a name in another case', plus('sec-websocket-EXTENSIONS: x'), notOffered(EXT, 'x')],
  ['a header of a similar name', plus('X-Sec-WebSocket-Extensions: x'), open],
];

export const subprotocols: Row[] = [
  ['one, none offered', plus(`${PROTO}: chat`), notOffered(PROTO, 'chat')],
  ['another than offered', plus(`${PROTO}: chat`), notOffered(PROTO, 'chat'), ['talk']],
  ['another case', plus(`${PROTO}: Chat`), notOffered(PROTO, 'Chat'), ['chat']],
  ['a list of two', plus(`${PROTO}: a, b`), notOffered(PROTO, 'a, b'), ['a', 'b']],
  ['a list of one', plus(`${PROTO}: a,`), notOffered(PROTO, 'a,'), ['a']],
  [
    'two lines',
    plus(`${PROTO}: a`, `${PROTO}: b`),
    refused(101, `more than one ${PROTO} header`),
    ['a', 'b'],
  ],
  [
    'two lines alike',
    plus(`${PROTO}: a`, `${PROTO}: a`),
    refused(101, `more than one ${PROTO} header`),
    ['a'],
  ],
  ['an empty one', plus(`${PROTO}:`), notOffered(PROTO, ''), ['a']],
  ['an empty one, none offered', plus(`${PROTO}:`), notOffered(PROTO, '')],
  ['one in quotes', plus(`${PROTO}: "a"`), notOffered(PROTO, '"a"'), ['a']],
  ['one with a parameter', plus(`${PROTO}: a;v=1`), notOffered(PROTO, 'a;v=1'), ['a']],
  [
    'bytes that a terminal obeys',
    plus(`${PROTO}: a\x9b2J\xe9`),
    notOffered(PROTO, 'a\\u009b2J\\u00e9'),
  ],
  [
    '10,000 characters',
    plus(`${PROTO}: ${'a'.repeat(10_000)}`),
    notOffered(PROTO, `${'a'.repeat(80)}...`),
  ],
  ['the first', plus(`${PROTO}: a`), opens(undefined, 'a'), ['a', 'b']],
  ['the last', plus(`${PROTO}: b`), opens(undefined, 'b'), ['a', 'b']],
  ['one with spaces around', plus(`${PROTO}: \t b `), opens(undefined, 'b'), ['a', 'b']],
  ['none', plus(), open, ['a', 'b']],
];

// biome-ignore format: a table
export const several: Row[] = [
  [
    'all of it wrong',
    head('Upgrade: x', 'Connection: y', `Sec-WebSocket-Accept: z`, `${EXT}: e`, `${PROTO}: p`),
    refused(
      101,
      'Upgrade is "x", not websocket, Connection is "y", without upgrade, ' +
        'Sec-WebSocket-Accept is "z", which does not match our key, ' +
        'Sec-WebSocket-Extensions "e" was not offered, Sec-WebSocket-Protocol "p" was not offered',
    ),
  ],
  ['a 200 with everything else right', (r) => r.ok('Content-Length: 0\r\n').replace('101', '200'), no(200, 'OK')],
  ['a 426 that names Upgrade', `HTTP/1.1 426 No\r\n${UP}\r\nConnection: close, Upgrade\r\nContent-Length: 2\r\n\r\nno`, no(426, 'Upgrade Required', 'no')],
  ['an old version and no Accept', `HTTP/1.0 101 S\r\n${UP}\r\n${CONN}\r\n\r\n`, refused(101, 'HTTP/1.0, not HTTP/1.1, no Sec-WebSocket-Accept header')],
  ['a frame after a wrong answer', `${head(UP, CONN)}${HI}`, refused(101, 'no Sec-WebSocket-Accept header')],
];
