import { duplexPair } from 'node:stream';
import { TransportError } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { BadHandshakeError, Dialer } from '../src/index.ts';
import { inVain } from './leftovers.ts';
import { rawServer, type SeenRequest, says, seen } from './servers.ts';

type Bytes = string | ((request: SeenRequest) => string);

interface Row {
  readonly says: string;
  readonly bytes: Bytes;
  readonly status: number;
  readonly message: string | RegExp;
  readonly subprotocols?: readonly string[];
}

/** A 101 put together by hand. */
function head(...lines: string[]): string {
  return ['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n');
}
const UP = 'Upgrade: websocket';
const CONN = 'Connection: Upgrade';
const accept = (request: SeenRequest): string => `Sec-WebSocket-Accept: ${request.accept}`;
/** A right answer, with these lines besides. */
const plus =
  (...lines: string[]) =>
  (request: SeenRequest): string =>
    head(UP, CONN, accept(request), ...lines);

const statuses = [
  200, 201, 204, 206, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 407, 426, 429, 500,
  502, 503, 999,
];

const rows: Row[] = [
  ...statuses.map((status) => ({
    says: `status ${status}`,
    bytes: `HTTP/1.1 ${status} Whatever\r\nContent-Length: 0\r\n\r\n`,
    status,
    message: new RegExp(
      `^websocket: bad handshake: the server answered ${status}( [A-Z].*)?, not 101$`,
    ),
  })),
  {
    says: 'status 200 with everything else right',
    bytes: (r: SeenRequest) => r.ok().replace('101', '200'),
    status: 200,
    message: 'the server answered 200 OK, not 101',
  },
  {
    says: 'status 426 that names Upgrade',
    bytes: 'HTTP/1.1 426 No\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\r\nno',
    status: 426,
    message: 'the server answered 426 Upgrade Required, not 101',
  },
  {
    says: 'a reason phrase of its own, which is not shown',
    bytes: 'HTTP/1.1 403 \x1b[2J\r\n\r\n',
    status: 403,
    message: /: the server answered 403 Forbidden, not 101$/,
  },

  {
    says: 'a 101 with no header at all',
    bytes: head(),
    status: 101,
    message: 'no Upgrade header, no Connection header, no Sec-WebSocket-Accept header',
  },
  {
    says: 'a 101 without Upgrade',
    bytes: (r: SeenRequest) => head(CONN, accept(r)),
    status: 101,
    message: /: no Upgrade header$/,
  },
  {
    says: 'a 101 without Connection',
    bytes: (r: SeenRequest) => head(UP, accept(r)),
    status: 101,
    message: /: no Connection header$/,
  },
  {
    says: 'a 101 without Accept',
    bytes: head(UP, CONN),
    status: 101,
    message: /: no Sec-WebSocket-Accept header$/,
  },
  {
    says: 'Upgrade to something else',
    bytes: (r: SeenRequest) => head('Upgrade: h2c', CONN, accept(r)),
    status: 101,
    message: /: Upgrade is "h2c", not websocket$/,
  },
  {
    says: 'Upgrade with a longer word',
    bytes: (r: SeenRequest) => head('Upgrade: websockets', CONN, accept(r)),
    status: 101,
    message: 'Upgrade is "websockets", not websocket',
  },
  {
    says: 'Upgrade with a version',
    bytes: (r: SeenRequest) => head('Upgrade: websocket/13', CONN, accept(r)),
    status: 101,
    message: 'Upgrade is "websocket/13", not websocket',
  },
  {
    says: 'an empty Upgrade',
    bytes: (r: SeenRequest) => head('Upgrade:', CONN, accept(r)),
    status: 101,
    message: 'Upgrade is "", not websocket',
  },
  {
    says: 'Connection: close',
    bytes: (r: SeenRequest) => head(UP, 'Connection: close', accept(r)),
    status: 101,
    message: 'Connection is "close", without upgrade',
  },
  {
    says: 'Connection: keep-alive',
    bytes: (r: SeenRequest) => head(UP, 'Connection: keep-alive', accept(r)),
    status: 101,
    message: 'Connection is "keep-alive", without upgrade',
  },
  {
    says: 'Connection with a longer word',
    bytes: (r: SeenRequest) => head(UP, 'Connection: upgraded', accept(r)),
    status: 101,
    message: 'Connection is "upgraded", without upgrade',
  },
  {
    says: 'Connection with two words in one',
    bytes: (r: SeenRequest) => head(UP, 'Connection: keep-alive upgrade', accept(r)),
    status: 101,
    message: 'without upgrade',
  },
  {
    says: 'an empty Connection',
    bytes: (r: SeenRequest) => head(UP, 'Connection:', accept(r)),
    status: 101,
    message: 'Connection is "", without upgrade',
  },
  {
    says: 'another Accept',
    bytes: head(UP, CONN, 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='),
    status: 101,
    message:
      'Sec-WebSocket-Accept is "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", which does not answer our key',
  },
  {
    says: 'the key sent back',
    bytes: (r: SeenRequest) => head(UP, CONN, `Sec-WebSocket-Accept: ${r.key}`),
    status: 101,
    message: 'which does not answer our key',
  },
  {
    says: 'Accept in lower case',
    bytes: (r: SeenRequest) => head(UP, CONN, accept(r).toLowerCase()),
    status: 101,
    message: 'which does not answer our key',
  },
  {
    says: 'Accept without its padding',
    bytes: (r: SeenRequest) => head(UP, CONN, accept(r).slice(0, -1)),
    status: 101,
    message: 'which does not answer our key',
  },
  {
    says: 'Accept with something behind it',
    bytes: (r: SeenRequest) => head(UP, CONN, `${accept(r)}, x`),
    status: 101,
    message: 'which does not answer our key',
  },
  {
    says: 'an empty Accept',
    bytes: head(UP, CONN, 'Sec-WebSocket-Accept:'),
    status: 101,
    message: 'Sec-WebSocket-Accept is "", which does not',
  },
  {
    says: 'the right Accept twice',
    bytes: (r: SeenRequest) => plus(accept(r))(r),
    status: 101,
    message: 'more than one Sec-WebSocket-Accept header',
  },
  {
    says: 'a right and a wrong Accept',
    bytes: plus('sec-websocket-accept: x'),
    status: 101,
    message: 'more than one Sec-WebSocket-Accept header',
  },
  {
    says: 'a second Accept behind 1,500 lines',
    bytes: (r: SeenRequest) => plus(...Array<string>(1500).fill('a:b'), accept(r))(r),
    status: 101,
    message: 'more than one Sec-WebSocket-Accept header',
  },
  {
    says: 'permessage-deflate, not offered',
    bytes: plus('Sec-WebSocket-Extensions: permessage-deflate'),
    status: 101,
    message: 'Sec-WebSocket-Extensions "permessage-deflate" was not offered',
  },
  {
    says: 'an unknown extension',
    bytes: plus('Sec-WebSocket-Extensions: x-foo; a=1'),
    status: 101,
    message: 'Sec-WebSocket-Extensions "x-foo; a=1" was not offered',
  },
  {
    says: 'an empty list of extensions',
    bytes: plus('Sec-WebSocket-Extensions:'),
    status: 101,
    message: 'Sec-WebSocket-Extensions "" was not offered',
  },
  {
    says: 'a subprotocol, none offered',
    bytes: plus('Sec-WebSocket-Protocol: chat'),
    status: 101,
    message: 'Sec-WebSocket-Protocol "chat" was not offered',
  },
  {
    says: 'another subprotocol than offered',
    bytes: plus('Sec-WebSocket-Protocol: chat'),
    subprotocols: ['talk'],
    status: 101,
    message: 'Sec-WebSocket-Protocol "chat" was not offered',
  },
  {
    says: 'a subprotocol in another case',
    bytes: plus('Sec-WebSocket-Protocol: Chat'),
    subprotocols: ['chat'],
    status: 101,
    message: 'Sec-WebSocket-Protocol "Chat" was not offered',
  },
  {
    says: 'two subprotocols in one line',
    bytes: plus('Sec-WebSocket-Protocol: a, b'),
    subprotocols: ['a', 'b'],
    status: 101,
    message: 'Sec-WebSocket-Protocol "a, b" was not offered',
  },
  {
    says: 'two subprotocols in two lines',
    bytes: plus('Sec-WebSocket-Protocol: a', 'Sec-WebSocket-Protocol: b'),
    subprotocols: ['a', 'b'],
    status: 101,
    message: 'more than one Sec-WebSocket-Protocol header',
  },
  {
    says: 'the same subprotocol twice',
    bytes: plus('Sec-WebSocket-Protocol: a', 'Sec-WebSocket-Protocol: a'),
    subprotocols: ['a'],
    status: 101,
    message: 'more than one Sec-WebSocket-Protocol header',
  },
  {
    says: 'an empty subprotocol',
    bytes: plus('Sec-WebSocket-Protocol:'),
    subprotocols: ['a'],
    status: 101,
    message: 'Sec-WebSocket-Protocol "" was not offered',
  },
  {
    says: 'several faults at once',
    bytes: head(
      'Upgrade: x',
      'Connection: y',
      'Sec-WebSocket-Accept: z',
      'Sec-WebSocket-Extensions: e',
      'Sec-WebSocket-Protocol: p',
    ),
    status: 101,
    message:
      'Upgrade is "x", not websocket, Connection is "y", without upgrade, Sec-WebSocket-Accept is "z", which does not answer our key, Sec-WebSocket-Extensions "e" was not offered, Sec-WebSocket-Protocol "p" was not offered',
  },
  {
    says: 'bytes that a terminal obeys',
    bytes: plus('Sec-WebSocket-Protocol: a\x9b2J\xe9'),
    status: 101,
    message: '"a\\u009b2J\\u00e9" was not offered',
  },
  {
    says: 'a value of 10,000 characters',
    bytes: plus(`Sec-WebSocket-Protocol: ${'a'.repeat(10_000)}`),
    status: 101,
    message: `"${'a'.repeat(80)}..." was not offered`,
  },
  {
    says: 'HTTP/1.0',
    bytes: (r: SeenRequest) => r.ok().replace('1.1', '1.0'),
    status: 101,
    message: /: HTTP\/1\.0, not HTTP\/1\.1$/,
  },
  {
    says: 'HTTP/2.0',
    bytes: (r: SeenRequest) => r.ok().replace('1.1', '2.0'),
    status: 101,
    message: 'HTTP/2.0, not HTTP/1.1',
  },

  {
    says: 'eleven interim answers',
    bytes: (r: SeenRequest) => 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'.repeat(11) + r.ok(),
    status: 103,
    message: 'more than 10 interim answers (1xx)',
  },
  {
    says: 'eleven times 100',
    bytes: (r: SeenRequest) => 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(11) + r.ok(),
    status: 100,
    message: 'more than 10 interim answers (1xx)',
  },
  {
    says: 'interim answers, then a refusal',
    bytes: 'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 403 No\r\n\r\n',
    status: 403,
    message: 'the server answered 403 Forbidden, not 101',
  },
  {
    says: 'a header of 17,000 bytes',
    bytes: plus(`X: ${'a'.repeat(17_000)}`),
    status: 0,
    message: 'the head of the answer is larger than 16384 bytes',
  },
  {
    says: 'a header name of 17,000 bytes',
    bytes: plus(`${'a'.repeat(17_000)}: x`),
    status: 0,
    message: 'the head of the answer is larger than 16384 bytes',
  },
  {
    says: 'a reason phrase of 17,000 bytes',
    bytes: `HTTP/1.1 101 ${'a'.repeat(17_000)}\r\n\r\n`,
    status: 0,
    message: 'the head of the answer is larger than 16384 bytes',
  },
  {
    says: 'many small headers',
    bytes: plus(...Array<string>(5000).fill('abc: def')),
    status: 0,
    message: 'the head of the answer is larger than 16384 bytes',
  },
  {
    says: '20,000 bytes of spaces in a header',
    bytes: plus(`X:${' '.repeat(20_000)}x`),
    status: 0,
    message: 'the head of the answer is larger than 16384 bytes',
  },
  {
    says: 'spaces without end',
    bytes: `HTTP/1.1 101 S\r\nX:${' '.repeat(300_000)}`,
    status: 0,
    message: 'the head of the answer is larger than 16384 bytes',
  },

  { says: 'a line of text', bytes: 'hello\r\n\r\n', status: 0, message: 'the answer is not HTTP' },
  {
    says: 'an SSH banner',
    bytes: 'SSH-2.0-OpenSSH_9.2\r\n',
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'an HTTP/2 frame',
    bytes: '\x00\x00\x12\x04\x00\x00\x00\x00\x00',
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a TLS alert',
    bytes: '\x15\x03\x01\x00\x02\x02\x46',
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a WebSocket frame',
    bytes: '\x81\x05hello',
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a request',
    bytes: 'GET / HTTP/1.1\r\n\r\n',
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a status of four digits',
    bytes: 'HTTP/1.1 1010 x\r\n\r\n',
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a status of two digits',
    bytes: 'HTTP/1.1 10 x\r\n\r\n',
    status: 0,
    message: 'the answer is not HTTP',
  },
  { says: 'no status', bytes: 'HTTP/1.1\r\n\r\n', status: 0, message: 'the answer is not HTTP' },
  {
    says: 'another protocol of the same form',
    bytes: 'ICY 200 OK\r\n\r\n',
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'bare LF',
    bytes: (r: SeenRequest) => r.ok().replaceAll('\r\n', '\n'),
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a folded header',
    bytes: plus('X: a', ' b'),
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a space before a colon',
    bytes: plus('X : a'),
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a header without a colon',
    bytes: plus('X'),
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'a NUL in a header',
    bytes: plus('X: a\0b'),
    status: 0,
    message: 'the answer is not HTTP',
  },
  {
    says: 'two content lengths',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    status: 0,
    message: 'the answer is not HTTP',
  },
];

function judge(error: unknown, row: Row): void {
  expect(error).toBeInstanceOf(BadHandshakeError);
  const bad = error as BadHandshakeError;
  expect(bad.message).toMatch(row.message);
  expect(bad.message.startsWith('websocket: bad handshake: ')).toBe(true);
  expect(bad.message).toMatch(/^[ -~]+$/);
  expect(bad).toMatchObject({
    name: 'BadHandshakeError',
    code: 'WS_ERR_BAD_HANDSHAKE',
    status: row.status,
  });
  expect(bad.body.length).toBeLessThanOrEqual(1024);
  if (row.message === 'the answer is not HTTP') {
    expect(bad.cause).toMatchObject({ code: expect.stringMatching(/^HPE_/) as string });
  }
}

describe('a dial refuses', () => {
  it.each(rows)('$says', async (row) => {
    const server = await rawServer(says(row.bytes));
    judge(await inVain(server.url, { subprotocols: row.subprotocols }), row);
    await server.gone();
  });

  // Longer ones take their time this way, and say nothing new.
  it.each(rows.filter(({ bytes }) => typeof bytes !== 'string' || bytes.length < 2000))(
    '$says, byte by byte',
    async (row) => {
      const [ours, theirs] = duplexPair();
      theirs.once('data', (request: Buffer) => {
        const { bytes } = row;
        const text = typeof bytes === 'string' ? bytes : bytes(seen(request.toString('latin1')));
        for (const byte of Buffer.from(text, 'latin1')) theirs.write(Buffer.of(byte));
      });
      const dialed = new Dialer().handshake(ours, 'ws://h/', { subprotocols: row.subprotocols });
      judge(await dialed.catch((error: unknown) => error), row);
      expect(ours.destroyed).toBe(true);
    },
  );
});

describe('BadHandshakeError', () => {
  const answers = async (bytes: string, end = false): Promise<BadHandshakeError> => {
    const server = await rawServer(says(bytes, end));
    const error = await inVain(server.url);
    expect(error).toBeInstanceOf(BadHandshakeError);
    return error as BadHandshakeError;
  };

  it('carries status, headers and body', async () => {
    const bytes =
      'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nsorry';
    const error = await answers(bytes);
    expect(error.status).toBe(401);
    expect(error.headers).toMatchObject({ 'www-authenticate': 'Basic', 'x-a': '1, 2' });
    expect(error.body.toString()).toBe('sorry');
  });

  it.each([
    [
      'that is chunked',
      'HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n',
      false,
    ],
    ['that ends with the connection', 'HTTP/1.1 403 No\r\n\r\nsorry', true],
    ['that breaks off', 'HTTP/1.1 403 No\r\nContent-Length: 50\r\n\r\nsorry', true],
    [
      'whose chunks break',
      'HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\nzz\r\n',
      false,
    ],
    ['that does not end', 'HTTP/1.1 403 No\r\n\r\nsorry', false],
    ['that does not end as announced', 'HTTP/1.1 403 No\r\nContent-Length: 50\r\n\r\nsorry', false],
  ])('has a body %s', async (_, bytes, end) => {
    const error = await answers(bytes, end);
    expect(error.status).toBe(403);
    expect(error.body.toString()).toBe('sorry');
  });

  it('has an empty body where none comes', async () => {
    const error = await answers('HTTP/1.1 403 No\r\n\r\n');
    expect(error.body).toHaveLength(0);
  });

  it('keeps 1,024 bytes of a body without end', async () => {
    const server = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const chunk = Buffer.alloc(64 * 1024, 'x');
      const more = (): void => {
        while (!socket.destroyed && socket.write(chunk));
        socket.once('drain', more);
      };
      more();
    });
    const error = (await inVain(server.url)) as BadHandshakeError;
    expect(error.status).toBe(200);
    expect(error.body.toString()).toBe('x'.repeat(1024));
    expect(error.body.buffer.byteLength).toBeLessThan(16 * 1024);
    await server.gone();
  });

  it('has what came behind a 101 as its body, since that may explain it', async () => {
    const error = await answers('HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nsorry');
    expect(error.body.toString()).toBe('sorry');
  });

  it('has status 0, no headers and no body when the answer is not HTTP', async () => {
    expect(await answers('nonsense\r\n')).toMatchObject({
      status: 0,
      headers: {},
      body: Buffer.alloc(0),
    });
  });
});

describe('an answer that breaks off', () => {
  it.each([
    ['before its first byte', ''],
    ['in its status line', 'HTTP/1.1 10'],
    ['in its headers', 'HTTP/1.1 101 S\r\nUpgrade: webso'],
    ['behind an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ])('%s is a TransportError', async (_, bytes) => {
    const server = await rawServer(says(bytes, true));
    const error = await inVain(server.url);
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({
      code: 'WS_ERR_TRANSPORT',
      message: 'websocket: the connection broke before the server answered',
      cause: { code: 'ECONNRESET' },
    });
    await server.gone();
  });
});
