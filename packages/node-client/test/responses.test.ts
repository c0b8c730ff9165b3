// Responses of servers and the outcomes of their dials. The tables are in responses/, by topic.
import { getEventListeners } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { TransportError } from '@ws/conn';
import { describe, expect, it, vi } from 'vitest';
import { BadHandshakeError, type ClientConn, Dialer, TimeoutError } from '../src/index.ts';
import { inVain, listeners, stopTime, timers } from './leftovers.ts';
import { accepts, spoiltAccepts } from './responses/accept.ts';
import { bodies, ends, frames, unendedBodies } from './responses/body.ts';
import { fields, lengths } from './responses/fields.ts';
import { extensions, several, subprotocols } from './responses/offers.ts';
import {
  type Bytes,
  HI,
  head,
  no,
  type Outcome,
  open,
  type Row,
  refused,
} from './responses/row.ts';
import { interims, statuses, statusLines } from './responses/status-line.ts';
import { connections, upgrades } from './responses/upgrade.ts';
import { closing, rawServer, type SeenRequest, says, seen } from './servers.ts';

const tables: Record<string, readonly Row[]> = {
  'a status': statuses,
  'a status line': statusLines,
  'interim answers': interims,
  Upgrade: upgrades,
  Connection: connections,
  Accept: accepts,
  'an extension': extensions,
  'a subprotocol': subprotocols,
  'several things': several,
  'the fields of a head': fields,
  lengths,
  'a body': bodies,
  'the bytes after a 101': frames,
};

const textOf = (bytes: Bytes, request: SeenRequest): string =>
  typeof bytes === 'string' ? bytes : bytes(request);

/** Checks the outcome of a dial. */
function judge(result: ClientConn | Error, outcome: Outcome): void {
  if (outcome.is === 'open') return expect(result).toHaveProperty('state', 'open');
  expect(result).toBeInstanceOf(outcome.is === 'broken' ? TransportError : BadHandshakeError);
  if (outcome.is === 'broken') {
    expect(result).toMatchObject({
      message: /^websocket: the connection broke before the server answered: .*ECONNRESET/,
      code: 'WS_ERR_TRANSPORT',
      cause: { code: 'ECONNRESET' },
    });
    return;
  }
  const { name, code, message, status, body, headers, cause } = result as BadHandshakeError;
  expect({ name, code, message, status }).toEqual({
    name: 'BadHandshakeError',
    code: 'WS_ERR_BAD_HANDSHAKE',
    message: `websocket: bad handshake: ${outcome.words}`,
    status: outcome.status,
  });
  expect(message).toMatch(/^[ -~]+$/);
  expect(body.length).toBeLessThanOrEqual(1024);
  if (outcome.body !== undefined) expect(body.toString('latin1')).toBe(outcome.body);
  if (!outcome.words.startsWith('the answer is not HTTP; ')) return;
  expect(headers).toEqual({});
  expect(cause).toMatchObject({ code: expect.stringMatching(/^HPE_/) as string });
}

/** Dials, expects a connection, and checks for leftovers after its end. */
async function opened(url: string, row: Row): Promise<void> {
  const [, , outcome, subprotocols = []] = row;
  if (outcome.is !== 'open') throw new Error('the row opens nothing');
  let stream!: Socket;
  const netDial = (address: object): Socket => {
    stream = connect(address as never);
    return stream;
  };
  const { signal } = new AbortController();
  const before = timers();
  const conn = await new Dialer({ netDial }).dial(url, { subprotocols, signal });
  const { response } = conn;
  expect(response.status).toBe(101);
  expect(conn.subprotocol).toBe(outcome.subprotocol);
  expect(timers()).toBeLessThanOrEqual(before);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
  if (outcome.text !== undefined) {
    const message = await conn.readMessage();
    expect(message.text()).toBe(outcome.text);
  }
  const close = closing(stream);
  conn.terminate();
  await close;
}

/** Performs the handshake over a pair of streams; `reply` is the other end. */
async function overPair(
  reply: (theirs: Duplex, request: SeenRequest) => void,
  subprotocols: readonly string[] = [],
): Promise<{ result: ClientConn | Error; ours: Duplex }> {
  const [ours, theirs] = duplexPair();
  theirs.on('error', () => {});
  theirs.once('data', (request: Buffer) => reply(theirs, seen(request.toString('latin1'))));
  const dialed = new Dialer().handshake(ours, 'ws://h/', { subprotocols });
  return { result: await dialed.catch((error: Error) => error), ours };
}

/** A dial over TCP and its leftovers. */
async function overTcp(row: Row): Promise<void> {
  const [, bytes, outcome, subprotocols] = row;
  const server = await rawServer(says(bytes));
  if (outcome.is === 'open') await opened(server.url, row);
  else judge((await inVain(server.url, {}, { subprotocols })) as Error, outcome);
  await server.gone();
}

/** The same over a pair of streams, with one byte per chunk. */
async function byteByByte(row: Row): Promise<void> {
  const [, bytes, outcome, subprotocols] = row;
  const { result, ours } = await overPair((theirs, request) => {
    for (const byte of Buffer.from(textOf(bytes, request), 'latin1')) theirs.write(Buffer.of(byte));
  }, subprotocols);
  judge(result, outcome);
  if (!(result instanceof Error) && outcome.is === 'open') {
    expect(result.subprotocol).toBe(outcome.subprotocol);
    if (outcome.text !== undefined) {
      const message = await result.readMessage();
      expect(message.text()).toBe(outcome.text);
    }
    const close = closing(ours);
    result.terminate();
    await close;
  }
  expect(ours.destroyed).toBe(true);
}

function titled(rows: readonly Row[]): (readonly [title: string, row: Row])[] {
  return rows.map((row) => [`${row[2].is === 'open' ? 'opens' : 'fails'} by ${row[0]}`, row]);
}

describe.each(Object.entries(tables))('a dial that is answered with %s', (_, rows) => {
  it.each(titled(rows))('%s', (_title, row) => overTcp(row));

  // Longer ones would be slow and test nothing more.
  const short = rows.filter(([, bytes]) => textOf(bytes, seen('')).length < 1500);
  it.each(titled(short))('%s, byte by byte', (_title, row) => byteByByte(row));
});

describe('a dial that is answered with an endless body', () => {
  it.each(titled(unendedBodies))('%s', (_title, row) => overTcp(row));
});

describe('a dial that is answered with a wrong Accept', () => {
  it.each(spoiltAccepts)('fails by %s', async (_, spoil) => {
    let value = '';
    const server = await rawServer((socket, request) => {
      value = spoil(request.accept, request.key);
      socket.write(request.ok().replace(`Accept: ${request.accept}`, `Accept: ${value}`));
    });
    const error = await inVain(server.url);
    judge(
      error as Error,
      refused(101, `Sec-WebSocket-Accept is "${value}", which does not match our key`),
    );
    await server.gone();
  });
});

describe.each(['FIN', 'RST'])('an answer that ends by %s', (way) => {
  it.each(ends.map((row) => [row[0], row] as const))('%s', async (_says, row) => {
    const [, bytes, outcome] = row;
    let stream!: Socket;
    const server = await rawServer((socket, request) => {
      const text = textOf(bytes, request);
      socket.write(text, 'latin1');
      if (way === 'FIN') return void socket.end();
      // A reset may overtake sent bytes, so it waits until they were read.
      const reset = (): void => {
        if (stream.bytesRead < text.length && !stream.destroyed) setImmediate(reset);
        else socket.resetAndDestroy();
      };
      reset();
    });
    let close!: Promise<void>;
    const netDial = (address: object): Socket => {
      stream = connect(address as never);
      close = closing(stream);
      return stream;
    };
    judge((await inVain(server.url, { netDial })) as Error, outcome);
    await close;
    expect(stream.destroyed).toBe(true);
    expect(listeners(stream)).toEqual({});
    await server.gone();
  });

  it.each([
    { says: 'right after a 101', tail: '', text: undefined },
    { says: 'after a 101 with a message', tail: HI, text: 'hi' },
    { says: 'in a frame after a 101', tail: '\x81\x05he', text: undefined },
  ])('$says ends the connection that it opened', async ({ tail, text }) => {
    const server = await rawServer((socket, request) => {
      socket.write(request.ok() + tail, 'latin1');
      socket.once('data', () => (way === 'FIN' ? socket.end() : socket.resetAndDestroy()));
    });
    const conn = await new Dialer().dial(server.url);
    if (text !== undefined) {
      const message = await conn.readMessage();
      expect(message.text()).toBe(text);
    }
    await conn.send('go');
    await expect(conn.readMessage()).rejects.toThrow();
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
    await server.gone();
  });
});

describe('a valid response followed by frames', () => {
  it('may be cut at any byte', async () => {
    const length = seen('').ok().length + HI.length;
    for (let at = 0; at <= length; at++) {
      const { result } = await overPair((theirs, request) => {
        const bytes = Buffer.from(request.ok() + HI, 'latin1');
        theirs.write(bytes.subarray(0, at));
        setImmediate(() => theirs.write(bytes.subarray(at)));
      });
      judge(result, open);
      const conn = result as ClientConn;
      const message = await conn.readMessage();
      expect(message.text()).toBe('hi');
      conn.terminate();
    }
  });

  it('may be followed by another 101, whose bytes are not a frame', async () => {
    const server = await rawServer(says((request) => request.ok() + request.ok()));
    const conn = await new Dialer().dial(server.url);
    await expect(conn.readMessage()).rejects.toMatchObject({ code: 'WS_ERR_PROTOCOL' });
    expect(await conn.closed).toMatchObject({ code: 1002 });
    await server.gone();
  });
});

describe('an answer that comes slowly', () => {
  /** Writes single bytes, `apart` ms after each other. */
  const dribble = (bytes: Bytes, apart: number) => (socket: Socket, request: SeenRequest) => {
    const text = textOf(bytes, request);
    let at = 0;
    // Excluded from the counted timers.
    const timer = setInterval(() => {
      if (at < text.length && !socket.destroyed) socket.write(text[at++]!, 'latin1');
      else clearInterval(timer);
    }, apart).unref();
  };

  it.each<[string, Bytes]>([
    ['in the status line', 'HTTP/1.1 101 Switching Protocols\r\n'],
    ['in a head', head('Upgrade: websocket', 'Connection: Upgrade')],
    ['in interim answers', 'HTTP/1.1 103 H\r\n\r\n'.repeat(9)],
    ['in spaces', `HTTP/1.1 101 S\r\nX:${' '.repeat(500)}`],
  ])('ends at the timeout, a byte at a time %s', async (_, bytes) => {
    stopTime();
    const server = await rawServer((socket, request) => {
      const text = textOf(bytes, request);
      let at = 0;
      const more = (): void => {
        vi.advanceTimersByTime(10);
        if (at < 15) socket.write(text[at++]!, 'latin1', () => setImmediate(more));
      };
      more();
    });
    const error = await inVain(server.url, { handshakeTimeout: 150 });
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({
      message: /timed out after 150 ms (option handshakeTimeout) while waiting for the answer$/,
    });
    await server.gone();
  });

  it('opens within the time, and is a refusal within the time', async () => {
    const right = await rawServer(dribble((request) => request.ok() + HI, 1));
    await opened(right.url, ['slow', '', { is: 'open', subprotocol: '', text: 'hi' }]);
    const wrong = await rawServer(dribble('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno', 1));
    judge((await inVain(wrong.url)) as Error, no(403, 'Forbidden', 'no'));
  });

  it('is a refusal with as much of the body as half a second brings', async () => {
    const body = 'z'.repeat(1000);
    const server = await rawServer((socket) => {
      socket.write('HTTP/1.1 403 No\r\n\r\n');
      dribble(body, 40)(socket, seen(''));
    });
    const error = (await inVain(server.url)) as BadHandshakeError;
    expect(error.status).toBe(403);
    expect(error.body.toString()).toMatch(/^z{1,20}$/);
    await server.gone();
  });
});

describe('BadHandshakeError', () => {
  it('carries status, headers and body', async () => {
    const lines = ['WWW-Authenticate: Basic', 'X-A: 1', 'X-A: 2', 'Content-Length: 5'];
    const server = await rawServer(says(`HTTP/1.1 401 No\r\n${lines.join('\r\n')}\r\n\r\nsorry`));
    const error = (await inVain(server.url)) as BadHandshakeError;
    expect(error.status).toBe(401);
    expect(error.headers).toMatchObject({ 'www-authenticate': 'Basic', 'x-a': '1, 2' });
    expect(error.body.toString()).toBe('sorry');
  });

  it('has the bytes after a 101 as its body, because they may explain it', async () => {
    const server = await rawServer(says(`${head('Upgrade: x', 'Connection: Upgrade')}sorry`));
    const error = (await inVain(server.url)) as BadHandshakeError;
    expect(error.body.toString()).toBe('sorry');
    await server.gone();
  });

  it('keeps 1,024 bytes of an endless body, and not their chunks', async () => {
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
    expect(error.body.toString()).toBe('x'.repeat(1024));
    // Buffer.concat takes small results from the pool of Buffer.
    expect(error.body.buffer.byteLength).toBeLessThanOrEqual(Buffer.poolSize);
    await server.gone();
  });
});

describe('many sets of Set-Cookie', () => {
  const cookies = Array.from(
    { length: 1500 },
    (_, i) => `c${i}=${i}; Path=/; Expires=Fri, 1 Jan 2100 00:00:00 GMT`,
  );
  const lines = `${cookies
    .slice(0, 90)
    .map((cookie) => `Set-Cookie: ${cookie}`)
    .join('\r\n')}\r\n`;

  it('come as a list of their own with a 101', async () => {
    const server = await rawServer(says((request) => request.ok(lines)));
    const conn = await new Dialer().dial(server.url);
    const { response } = conn;
    expect(response.headers['set-cookie']).toEqual(cookies.slice(0, 90));
    conn.terminate();
    await server.gone();
  });

  it('come as a list of their own with a refusal', async () => {
    const server = await rawServer(says(`HTTP/1.1 403 No\r\n${lines}Content-Length: 0\r\n\r\n`));
    const error = (await inVain(server.url)) as BadHandshakeError;
    expect(error.headers['set-cookie']).toEqual(cookies.slice(0, 90));
    await server.gone();
  });

  it('are rejected when they exceed the bound of a head', async () => {
    const all = `${cookies.map((cookie) => `Set-Cookie: ${cookie}`).join('\r\n')}\r\n`;
    const server = await rawServer(says((request) => request.ok(all)));
    judge(
      (await inVain(server.url)) as Error,
      refused(0, 'the head of the answer is larger than 65536 bytes', ''),
    );
  });
});

describe('the message of a refusal', () => {
  it.each([
    ['the first line of plain text', 'text/plain', 'no such room\nsecond', ': "no such room"'],
    ['a charset', 'text/plain; charset=utf-8', 'n\u00f6', ': "n\\u00f6"'],
    ['control characters, escaped', 'text/plain', '\u001b[2Jx', ': "\\u001b[2Jx"'],
    ['at most 200 characters', 'text/plain', 'x'.repeat(900), `: "${'x'.repeat(200)}..."`],
    ['no page', 'text/html', '<p>no such room', ''],
    ['no empty line', 'text/plain', ' \r\n', ''],
  ])('contains %s', async (_, type, body, shown) => {
    const bytes = Buffer.from(body);
    const { url } = await rawServer((socket) => {
      socket.write(
        `HTTP/1.1 404 No\r\nContent-Type: ${type}\r\nContent-Length: ${bytes.length}\r\n\r\n`,
      );
      socket.write(bytes);
    });
    const error = (await inVain(url)) as Error;
    expect(error.message).toBe(
      `websocket: bad handshake: the server answered 404 Not Found, not 101${shown}`,
    );
  });
});
