import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type BadHandshakeError, dial, TransportError } from '../../src/index.ts';
import { inVain, stopTime } from '../leftovers.ts';
import { tunnelProxy } from '../proxies.ts';
import { certificate, type Reply, rawServer, rawTlsServer, says } from '../servers.ts';

/** Sends bytes one at a time, each after the last one was sent. */
function dribbles(bytes: string): Reply {
  return (socket) => {
    let at = 0;
    const more = (): void => {
      if (at < bytes.length) socket.write(bytes[at++]!, 'latin1', () => setImmediate(more));
      else socket.end();
    };
    more();
  };
}

/** Sends bytes repeatedly until the peer accepts no more. */
function endless(head: string, again: string): Reply {
  return (socket) => {
    socket.write(head);
    const more = (): void => {
      if (!socket.destroyed) socket.write(again, () => setImmediate(more));
    };
    more();
  };
}

/**
 * Dials through a proxy with this answer: over TCP for ws, and over TLS for wss. Both fail in the
 * same way.
 */
async function fails(reply: Reply, options: object = {}): Promise<BadHandshakeError> {
  const { cert: ca } = await certificate();
  const errors: BadHandshakeError[] = [];
  for (const [start, scheme, url] of [
    [rawServer, 'http', 'ws://h/'],
    [rawTlsServer, 'https', 'wss://h:80/'],
  ] as const) {
    const server = await start(reply);
    const proxy = new URL(`${scheme}://me:hush@127.0.0.1:${server.port}`);
    const error = await inVain(url, { proxy, tls: { ca }, proxyTls: { ca }, ...options });
    // Only a proxy without TLS may need TLS.
    const advice = /; perhaps the proxy speaks TLS; use https:$/;
    const { message } = error as Error;
    (error as Error).message = message.replace(String(server.port), 'PORT').replace(advice, '');
    errors.push(error as BadHandshakeError);
    await server.gone();
  }
  const [first, second] = errors as [BadHandshakeError, BadHandshakeError];
  expect([second.message, second.code]).toEqual([first.message, first.code]);
  expect(first.message).not.toContain('hush');
  return first;
}

/** Sends bytes, and lets the time of the dial pass. */
function timesOut(bytes: string): [Reply, object] {
  stopTime();
  const reply: Reply = (socket) => {
    socket.write(bytes);
    vi.advanceTimersByTime(150);
  };
  return [reply, { handshakeTimeout: 150 }];
}

/** As in `response.ts`, in ms. */
const BODY_WAIT = 500;
const CHUNKED = 'HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n';

const refusals: [status: number, name: string][] = [
  [101, 'Switching Protocols'],
  [301, 'Moved Permanently'],
  [302, 'Found'],
  [304, 'Not Modified'],
  [400, 'Bad Request'],
  [401, 'Unauthorized'],
  [403, 'Forbidden'],
  [404, 'Not Found'],
  [405, 'Method Not Allowed'],
  [407, 'Proxy Authentication Required'],
  [429, 'Too Many Requests'],
  [500, 'Internal Server Error'],
  [502, 'Bad Gateway'],
  [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
];

describe('an answer to CONNECT', () => {
  it.each(refusals)('of %i is a BadHandshakeError', async (status, name) => {
    const error = await fails(says(`HTTP/1.1 ${status} Whatever\r\nX-A: 1\r\n\r\nwhy`, true));
    expect(error.message).toBe(
      `websocket: bad handshake: the proxy 127.0.0.1:PORT answered ${status} ${name}, not 2xx`,
    );
    expect(error).toMatchObject({ code: 'WS_ERR_BAD_HANDSHAKE', status, headers: { 'x-a': '1' } });
    // RFC 9112, section 6.3: a 304 has no body.
    expect(error.body.toString()).toBe(status === 304 ? '' : 'why');
  });

  it.each([
    ['200 OK', ''],
    ['201 Created', ''],
    ['204 No Content', ''],
    ['299 Other', ''],
    ['200 with a length', 'Content-Length: 5\r\n'],
    ['200 with a malformed length', 'Content-Length: five\r\n'],
    ['200 with a coding', 'Transfer-Encoding: chunked\r\n'],
    ['200 with both', 'Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n'],
    ['200 with 1,000 lines', 'A: b\r\n'.repeat(1000)],
  ])('of %s opens the tunnel', async (status, lines) => {
    const server = await rawServer(says((request) => request.ok()));
    const { proxy } = await tunnelProxy(server.port, 'http', `HTTP/1.1 ${status}\r\n${lines}\r\n`);
    const conn = await dial('ws://example.org/', { proxy });
    expect(conn.response.status).toBe(101);
    conn.terminate();
    await server.gone();
  });

  it('of a redirect is not followed', async () => {
    const reply = says('HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n', true);
    expect(await fails(reply, { followRedirects: 5 })).toMatchObject({ status: 302 });
  });

  it('of an unknown status is one too', async () => {
    const error = await fails(says('HTTP/1.1 799 \x9b2J\r\n\r\n', true));
    expect(error.message).toMatch(/ answered 799, not 2xx$/);
  });

  it.each<[string, Reply, string]>(
    // biome-ignore format: a table
    [
      ['a body in pieces', (s) => pieces(s, 'HTTP/1.1 502 No\r\n\r\n', 'bad ', 'gateway'), 'bad gateway'],
      ['a body that breaks off', says('HTTP/1.1 502 No\r\nContent-Length: 99\r\n\r\nbad', true), 'bad'],
      ['no body', says('HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n', true), ''],
      ['a body without end', endless('HTTP/1.1 502 No\r\n\r\n', 'x'.repeat(100)), 'x'.repeat(1024)],
      ['a long body in one piece', says(`HTTP/1.1 502 No\r\n\r\n${'x'.repeat(5000)}`), 'x'.repeat(1024)],
      ['a body that never ends', says('HTTP/1.1 502 No\r\n\r\nbad'), 'bad'],
      ['a head that dribbles', dribbles('HTTP/1.1 502 No\r\nA: b\r\n\r\nbad'), 'bad'],
    ],
  )('of 502 with %s has at most 1,024 bytes of it', async (_, reply, body) => {
    const error = await fails(reply);
    expect(error).toMatchObject({ code: 'WS_ERR_BAD_HANDSHAKE', status: 502 });
    expect(error.body.toString()).toBe(body);
  });

  it.each<[string, Reply, string]>([
    ['in one', says(`${CHUNKED}3\r\nwhy\r\n0\r\n\r\nbeyond`), 'why'],
    [
      'in several',
      says(`${CHUNKED}3;x=y\r\nwhy\r\n00A\r\n, who asks\r\n0\r\nA: b\r\n\r\n`),
      'why, who asks',
    ],
    ['byte by byte', dribbles(`${CHUNKED}3\r\nwhy\r\n4\r\n not\r\n0\r\n\r\n`), 'why not'],
    ['of which there is none', says(`${CHUNKED}0\r\n\r\n`), ''],
    ['that is long', says(`${CHUNKED}fff\r\n${'x'.repeat(0xfff)}\r\n`), 'x'.repeat(1024)],
    ['that breaks off', says(`${CHUNKED}9\r\nwhy`, true), 'why'],
    ['with broken framing', says(`${CHUNKED}3\r\nwhy\r\nnonsense\r\n`), 'why'],
    ['that is not framed at all', says(`${CHUNKED}sorry`), ''],
  ])('of 407 with a body in chunks %s has it without them', async (_, reply, body) => {
    const error = await fails(reply);
    expect(error).toMatchObject({ status: 407, headers: { 'transfer-encoding': 'chunked' } });
    expect(error.body.toString()).toBe(body);
  });

  it('of 407 with two lengths is not HTTP', async () => {
    const both = 'Content-Length: 0\r\nTransfer-Encoding: chunked';
    const error = await fails(says(`HTTP/1.1 407 No\r\n${both}\r\n\r\n`));
    expect(error).toMatchObject({
      message: 'websocket: bad handshake: the answer of the proxy is not HTTP; check host and port',
      status: 0,
    });
  });

  it.each([
    ['body', 'HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\nwhybeyond'],
    ['last chunk', `${CHUNKED}3\r\nwhy\r\n0\r\n\r\n`],
  ])('of 407 is over with its %s, though the connection stays open', async (_, bytes) => {
    const server = await rawServer(says(bytes));
    const proxy = new URL(`http://127.0.0.1:${server.port}`);
    // The wait for the end of a body has no listener now.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const set = vi.spyOn(globalThis, 'setTimeout');
    const cleared = vi.spyOn(globalThis, 'clearTimeout');
    onTestFinished(() => {
      vi.restoreAllMocks();
      vi.useRealTimers();
    });
    const error = (await inVain('ws://h/', { proxy })) as BadHandshakeError;
    expect(error.status).toBe(407);
    expect(error.body.toString()).toBe('why');
    // Connections of earlier tests may have timers too.
    const wait = set.mock.calls.findIndex(([, ms]) => ms === BODY_WAIT);
    expect(wait).toBeGreaterThanOrEqual(0);
    expect(cleared).toHaveBeenCalledWith(set.mock.results[wait]!.value);
  });

  it('of 502 with a reset in its body is the refusal', async () => {
    const server = await rawServer((socket) => {
      socket.write('HTTP/1.1 502 No\r\nContent-Length: 10\r\n\r\n', () => socket.resetAndDestroy());
    });
    const proxy = new URL(`http://127.0.0.1:${server.port}`);
    expect(await inVain('ws://h/', { proxy })).toMatchObject({ status: 502 });
  });

  it.each<[string, string]>([
    ['garbage', '\x00\x01\x02\x03 garbage\r\n\r\n'],
    ['a SOCKS answer', '\x05\x00'],
    ['a TLS alert', '\x15\x03\x03\x00\x02\x02\x28'],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['another protocol', 'ICY 200 OK\r\n\r\n'],
    ['an impossible version', 'HTTP/9.9 200 OK\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a broken header', 'HTTP/1.1 200 OK\r\nno colon\r\n\r\n'],
    ['a NUL in a header', 'HTTP/1.1 200 OK\r\nA: \0\r\n\r\n'],
  ])('that is %s is not HTTP', async (_, bytes) => {
    const error = await fails(says(bytes, true));
    expect(error.message).toBe(
      'websocket: bad handshake: the answer of the proxy is not HTTP; check host and port',
    );
    expect(error).toMatchObject({ status: 0, cause: { code: /^HPE_/ } });
  });

  it.each<[string, Reply]>([
    ['a header without end', endless('HTTP/1.1 200 OK\r\nA: ', 'x'.repeat(1000))],
    ['headers without end', endless('HTTP/1.1 200 OK\r\n', `A: ${'x'.repeat(100)}\r\n`)],
    ['spaces without end', endless('HTTP/1.1 200 OK\r\nA:', ' '.repeat(1000))],
    ['65 KiB of spaces, and an end', says(`HTTP/1.1 200 OK\r\nA:${' '.repeat(65 * 1024)}\r\n\r\n`)],
    ['65 KiB of it, and an end', says(`HTTP/1.1 200 OK\r\nA: ${'x'.repeat(65 * 1024)}\r\n\r\n`)],
  ])('whose head is too large is refused: %s', async (_, reply) => {
    const error = await fails(reply);
    expect(error.message).toBe(
      'websocket: bad handshake: the head of the answer of the proxy is larger than 65536 bytes',
    );
    expect(error.status).toBe(0);
  });

  it('of 1,000 header lines keeps its status', async () => {
    const error = await fails(says(`HTTP/1.1 403 Some\r\n${'A: b\r\n'.repeat(1000)}\r\n`));
    expect(error.status).toBe(403);
  });

  it.each<[string, Reply]>([
    ['at once', (socket) => void socket.end()],
    ['in the status line', says('HTTP/1.1 20', true)],
    ['in the head', says('HTTP/1.1 200 OK\r\nA: b\r\n', true)],
  ])('that ends %s is a TransportError', async (_, reply) => {
    const error = await fails(reply);
    expect(error).toBeInstanceOf(TransportError);
    expect(error.message).toMatch(/^websocket: the connection broke before the proxy answered: /);
  });

  it.each(['HTTP/1.1 20', 'HTTP/1.1 200 OK\r\nA: b\r\n', 'HTTP/1.1 100 Continue\r\n'])(
    'of which half comes (%j) ends at the timeout',
    async (half) => {
      const error = await fails(...timesOut(half));
      expect(error).toMatchObject({
        code: 'WS_ERR_TIMEOUT',
        message: /while waiting for the proxy/,
      });
    },
  );

  it.each<[string, string]>([
    ['of HTTP/1.0', 'HTTP/1.0 200 Connection established\r\n\r\n'],
    ['without a reason', 'HTTP/1.1 200\r\n\r\n'],
    ['with a length, which means nothing', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    ['with chunks, which mean nothing', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['with Connection: close', 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'],
    ['after an interim one', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'],
    [
      'after ten interim ones',
      `${'HTTP/1.1 103 E\r\nA: b\r\n\r\n'.repeat(10)}HTTP/1.1 200 OK\r\n\r\n`,
    ],
  ])('of 200 %s opens the tunnel, and the bytes after it come from the server', async (_, head) => {
    // No server knows the key that early, so it is a whole refusal.
    const refusal = 'HTTP/1.1 403 No\r\nContent-Length: 5\r\nX-From: server\r\n\r\nearly';
    const { cert: ca } = await certificate();
    for (const [start, scheme] of [
      [rawServer, 'http'],
      [rawTlsServer, 'https'],
    ] as const) {
      const server = await start(says(head + refusal));
      const proxy = new URL(`${scheme}://127.0.0.1:${server.port}`);
      const error = (await inVain('ws://h/', {
        proxy,
        tls: { ca },
        proxyTls: { ca },
      })) as BadHandshakeError;
      expect(error.message).toBe(
        'websocket: bad handshake: the server answered 403 Forbidden, not 101',
      );
      expect(error.headers['x-from']).toBe('server');
      expect(error.body.toString()).toBe('early');
      // For wss the TLS handshake reads these bytes and fails at once.
      expect(await inVain('wss://h/', { proxy, tls: { ca }, proxyTls: { ca } })).toMatchObject({
        message: /^websocket: TLS handshake with h:443 failed: wrong version number; .* use ws:$/,
        cause: { code: 'ERR_SSL_WRONG_VERSION_NUMBER' },
      });
      await server.gone();
    }
  });

  it.each<[string, Reply]>([
    ['ends', says('HTTP/1.1 200 OK\r\n\r\n', true)],
    [
      'is reset',
      (socket) => void socket.write('HTTP/1.1 200 OK\r\n\r\n', () => socket.resetAndDestroy()),
    ],
  ])('of 200 after which the tunnel %s is a TransportError', async (_, reply) => {
    const server = await rawServer(reply);
    const proxy = new URL(`http://127.0.0.1:${server.port}`);
    expect(await inVain('ws://h/', { proxy })).toBeInstanceOf(TransportError);
    const secure = await inVain('wss://h/', { proxy });
    expect(secure).toBeInstanceOf(TransportError);
    await server.gone();
  });

  it('of 407 may come after an interim one', async () => {
    const error = await fails(says('HTTP/1.1 102 P\r\n\r\nHTTP/1.1 407 No\r\n\r\nwhy', true));
    expect(error.status).toBe(407);
    expect(error.body.toString()).toBe('why');
  });

  it.each<[string, Reply]>([
    ['at once', says('HTTP/1.1 100 Continue\r\n\r\n'.repeat(11))],
    ['without end', endless('', 'HTTP/1.1 103 Early Hints\r\n\r\n')],
    ['byte by byte', dribbles('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(11))],
  ])('of more than ten interim ones is refused, %s', async (_, reply) => {
    const error = await fails(reply);
    expect(error.message).toBe(
      'websocket: bad handshake: more than 10 interim answers (1xx) of the proxy',
    );
    expect(error.status).toBeGreaterThanOrEqual(100);
  });

  it('with interim ones of more than 64 KiB is refused', async () => {
    const error = await fails(says(`HTTP/1.1 103 E\r\nA: ${'x'.repeat(9000)}\r\n\r\n`.repeat(8)));
    expect(error.message).toContain('larger than 65536 bytes');
  });

  it('that ends after an interim one is a TransportError', async () => {
    const error = await fails(says('HTTP/1.1 100 Continue\r\n\r\n', true));
    expect(error.message).toMatch(/^websocket: the connection broke before the proxy answered: /);
  });

  it('that stays interim ends at the timeout', async () => {
    const error = await fails(...timesOut('HTTP/1.1 100 Continue\r\n\r\n'));
    expect(error.code).toBe('WS_ERR_TIMEOUT');
  });

  it('after an interim response is requested once', async () => {
    let heard = '';
    const server = await rawServer((socket) => {
      socket.on('data', (chunk) => {
        heard += chunk.toString('latin1');
      });
      socket.write('HTTP/1.1 100 Continue\r\n\r\n', () => {
        setImmediate(() => socket.end('HTTP/1.1 407 No\r\n\r\n'));
      });
    });
    const proxy = new URL(`http://127.0.0.1:${server.port}`);
    expect(await inVain('ws://h/', { proxy })).toMatchObject({ status: 407 });
    await server.gone();
    expect(heard).toBe('');
  });

  it('of 200 in single bytes opens the tunnel', async () => {
    const reply = dribbles(
      'HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nHTTP/1.1 403 No\r\n\r\nearly',
    );
    const server = await rawServer(reply);
    const proxy = new URL(`http://127.0.0.1:${server.port}`);
    const error = (await inVain('ws://h/', { proxy })) as BadHandshakeError;
    expect(error.message).toContain('the server answered 403');
    expect(error.body.toString()).toBe('early');
  });
});

function pieces(socket: Socket, ...texts: string[]): void {
  const [text, ...more] = texts;
  if (text === undefined) socket.end();
  else socket.write(text, () => setImmediate(() => pieces(socket, ...more)));
}
