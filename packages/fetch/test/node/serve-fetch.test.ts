import { once } from 'node:events';
import { Agent, createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { upgrade } from '@ws/fetch';
import { type NodeInfo, type ServeFetchOptions, serveFetch } from '@ws/fetch/node';
import { type BadHandshakeError, dial } from '@ws/node-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FetchHandler } from '../../src/upgrade.ts';
import { refusal as refusalAt, serve as serveFor } from '../serving.ts';

const LOCAL = { port: 0, host: '127.0.0.1' };

/** Serves until the test ends; returns the port. */
async function serve(
  fetch: FetchHandler<NodeInfo>,
  options: ServeFetchOptions = {},
): Promise<number> {
  return Number(new URL(await serveFor(fetch, options)).port);
}

/** Serves on a server of node:http that the application has made. */
async function serveOnGiven(fetch: FetchHandler<NodeInfo>): Promise<number> {
  const http = createServer();
  onTestFinished(() => void http.close());
  await serve(fetch, { server: http });
  return (http.address() as AddressInfo).port;
}

/** Writes `text`, and resolves with the head of the answer. */
async function ask(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let all = '';
  socket.on('data', (chunk) => (all += chunk.toString('latin1')));
  socket.on('error', () => {});
  socket.write(text);
  // A refused socket lingers.
  const answered = new Promise<void>((resolve) => {
    socket.on('data', () => all.includes('\r\n\r\n') && resolve());
  });
  await Promise.race([once(socket, 'close'), answered]);
  socket.destroy();
  return all;
}

const get = (target: string, host: string): string =>
  `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';

const handshake = (target: string, host: string): string =>
  `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n${KEY}\r\n\r\n`;

const refusal = (port: number): Promise<BadHandshakeError> => refusalAt(`ws://127.0.0.1:${port}/`);

describe.each([
  ['a server of its own', serve],
  ['a given server', serveOnGiven],
])('serveFetch on %s', (_, start) => {
  const reported: unknown[] = [];
  const paths = async (text: string): Promise<[status: string, paths: string[]]> => {
    const seen: string[] = [];
    const port = await start((request) => {
      seen.push(new URL(request.url).pathname);
      return upgrade(request, {}, () => {}).then((response) =>
        request.headers.has('upgrade') ? response : new Response('page'),
      );
    });
    const print = console.error;
    console.error = (error) => void reported.push(error);
    onTestFinished(() => void (console.error = print));
    const answer = await ask(port, text);
    return [answer.slice(9, 12), seen];
  };

  describe.each([
    ['a page', get],
    ['an upgrade', handshake],
  ])('asked for %s', (_what, request) => {
    it.each(['h/admin?', 'h/', 'h?a', 'h#a', 'a b', 'u@evil', '[::1', 'h\\admin'])(
      'answers 400 to the host %s, and calls no fetch',
      async (host) => {
        expect(await paths(request('/public', host))).toEqual(['400', []]);
      },
    );

    it.each(['http://[', 'http://h:99999/', 'http://a b/'])(
      'answers 400 to the target %s, and reports nothing',
      async (target) => {
        expect(await paths(request(target, 'h'))).toEqual(['400', []]);
        expect(reported).toEqual([]);
      },
    );
  });

  it.each([
    ['//evil/x', '//evil/x'],
    ['http://other/path?q=1', '/path'],
    ['/a%2fb', '/a%2fb'],
  ])('takes the path of the target %s', async (target, path) => {
    expect(await paths(get(target, 'h'))).toEqual(['200', [path]]);
  });

  it('answers two lines of Host with 400', async () => {
    const text = 'GET / HTTP/1.1\r\nHost: h\r\nHost: g\r\nConnection: close\r\n\r\n';
    expect(await paths(text)).toEqual(['400', []]);
  });
});

describe('NodeInfo.address', () => {
  it.each([
    ['trustProxy', { trustProxy: 1 }],
    ['clientAddress', { clientAddress: (req: unknown) => addressIn(req as IncomingMessage) }],
  ] as const)('is that of %s for pages and upgrades', async (_, options) => {
    const seen: unknown[] = [];
    const port = await serve((request, { address }) => {
      seen.push(address);
      return request.headers.has('upgrade') ? upgrade(request, {}, () => {}) : new Response('page');
    }, options);
    const headers = { 'X-Forwarded-For': '198.51.100.1, 203.0.113.7' };
    await fetch(`http://127.0.0.1:${port}/`, { headers });
    const conn = await dial(`ws://127.0.0.1:${port}/`, { headers });
    await conn.close();
    expect(seen).toEqual(['203.0.113.7', '203.0.113.7']);
  });

  const addressIn = ({ headers }: IncomingMessage): string | undefined =>
    String(headers['x-forwarded-for']).split(', ').at(-1);

  it('ignores the header without them', async () => {
    const seen: unknown[] = [];
    const port = await serve((_request, { address }) => {
      seen.push(address);
      return new Response('page');
    });
    const headers = { 'X-Forwarded-For': '203.0.113.7' };
    await fetch(`http://127.0.0.1:${port}/`, { headers });
    expect(seen).toEqual(['127.0.0.1']);
  });
});

describe('the body of a request', () => {
  /** Sends a POST and a GET on one connection; resolves with the answers. */
  async function two(port: number, size: number): Promise<string[]> {
    const socket = connect(port, '127.0.0.1');
    socket.write(`POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: ${size}\r\n\r\n`);
    socket.write(Buffer.alloc(size));
    socket.write('GET /second HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    let all = '';
    socket.on('data', (chunk) => (all += String(chunk)));
    await once(socket, 'close');
    return all.match(/HTTP\/1.1 \d+|\/\w+ \d+/g) ?? [];
  }
  const reads: Record<string, (request: Request) => Promise<number>> = {
    'nothing of it': async () => 0,
    'one chunk': async ({ body }) => (await body!.getReader().read()).value!.length && 1,
    'one chunk, and cancels': async ({ body }) => {
      const reader = body!.getReader();
      await reader.read();
      await reader.cancel();
      return 2;
    },
    'all of it': async (request) => (await request.arrayBuffer()).byteLength,
  };

  it.each([
    ['nothing of it', 0],
    ['one chunk', 1],
    ['one chunk, and cancels', 2],
    ['all of it', 4_000_000],
  ])('does not hold up the next request when fetch reads %s', async (what, read) => {
    const port = await serve(async (request) => {
      const { pathname } = new URL(request.url);
      const isPost = request.method === 'POST';
      const count = isPost ? await reads[what]!(request) : 0;
      return new Response(`${pathname} ${count}`, { status: isPost ? 401 : 200 });
    });
    expect(await two(port, 4_000_000)).toEqual([
      'HTTP/1.1 401',
      `/up ${read}`,
      'HTTP/1.1 200',
      '/second 0',
    ]);
  });

  it('rejects a read after the answer', async () => {
    let late: Promise<string> | undefined;
    const port = await serve((request) => {
      late = new Promise((resolve) => {
        setImmediate(() => setTimeout(() => resolve(request.text().catch(String)), 20));
      });
      return new Response('no');
    });
    await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: new Uint8Array(2e6) });
    expect(await late).toContain('the request was answered before its body was read');
  });

  it('is read by the client as fast as fetch reads it', async () => {
    let read: (() => Promise<unknown>) | undefined;
    const begun = new Promise<void>((resolve) => {
      void serve(async ({ body }) => {
        const reader = body!.getReader();
        read = () => reader.read();
        await read();
        resolve();
        return new Promise(() => {});
      }).then((port) => {
        socket = connect(port, '127.0.0.1');
        socket.on('error', () => {});
        socket.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${2 ** 25}\r\n\r\n`);
        socket.write(Buffer.alloc(2 ** 25));
      });
    });
    let socket!: Socket;
    await begun;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(socket.writableLength).toBeGreaterThan(0);
    socket.destroy();
  });

  it('fails with the reason of request.signal when the client leaves, which is not reported', async () => {
    const reports: unknown[] = [];
    let ended!: (outcome: unknown[]) => void;
    const outcome = new Promise<unknown[]>((resolve) => (ended = resolve));
    let called!: () => void;
    const call = new Promise<void>((resolve) => (called = resolve));
    const port = await serve(
      async (request) => {
        called();
        try {
          return new Response(await request.text());
        } catch (error) {
          ended([error === request.signal.reason, String(error)]);
          throw error;
        }
      },
      { report: (error) => void reports.push(error) },
    );
    const socket = connect(port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf');
    await call;
    socket.destroy();
    expect(await outcome).toEqual([true, 'Error: the client has left']);
    expect(reports).toEqual([]);
  });
});

describe('the body of a Response', () => {
  it('adds no listener for each chunk that waits', async () => {
    const counts: number[] = [];
    const port = await serve((_request, { req }) => {
      const { socket } = req;
      let sent = 0;
      return new Response(
        new ReadableStream({
          pull(controller) {
            counts.push(socket.listenerCount('close'), socket.listenerCount('drain'));
            controller.enqueue(new Uint8Array(2 ** 16));
            if (++sent === 200) controller.close();
          },
        }),
      );
    });
    const warnings: unknown[] = [];
    const warn = (warning: Error): void => {
      if (warning.name === 'MaxListenersExceededWarning') warnings.push(warning);
    };
    process.on('warning', warn);
    onTestFinished(() => void process.off('warning', warn));
    const bytes = await (await fetch(`http://127.0.0.1:${port}/`)).arrayBuffer();
    expect(bytes.byteLength).toBe(200 * 2 ** 16);
    expect(Math.max(...counts)).toBeLessThan(10);
    expect(warnings).toEqual([]);
  });

  it('aborts the signal of its request when it fails after the head', async () => {
    const boom = new Error('boom');
    const reports: unknown[] = [];
    let fail = (): void => {};
    let signal = AbortSignal.abort();
    const port = await serve(
      (request) => {
        ({ signal } = request);
        return new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(Buffer.from('begin'));
              fail = () => controller.error(boom);
            },
          }),
        );
      },
      { report: (error) => void reports.push(error) },
    );
    const response = await fetch(`http://127.0.0.1:${port}/`);
    expect(signal.aborted).toBe(false);
    fail();
    await expect(response.text()).rejects.toThrow();
    await expect.poll(() => signal.aborted).toBe(true);
    expect(reports).toEqual([boom]);
  });

  it('is reported when it has failed behind another one whose failure ends the connection', async () => {
    const reports: unknown[] = [];
    const fails: (() => void)[] = [];
    const port = await serve(
      () => {
        const error = new Error(`boom ${fails.length}`);
        return new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new Uint8Array(2 ** 18));
              fails.push(() => controller.error(error));
            },
          }),
        );
      },
      { report: (error) => void reports.push(String(error)) },
    );
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(2));
    await once(socket, 'data');
    socket.resume();
    await expect.poll(() => fails).toHaveLength(2);
    fails[1]!();
    fails[0]!();
    await once(socket, 'close');
    await expect.poll(() => reports).toHaveLength(2);
    expect(new Set(reports)).toEqual(new Set(['Error: boom 0', 'Error: boom 1']));
  });
});

describe('the body of a Response whose client leaves', () => {
  const request = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

  it.each([
    { says: 'of a page', text: request, requests: 1 },
    { says: 'of a page behind others', text: request.repeat(5), requests: 5 },
    { says: 'of a refused upgrade', text: handshake('/', 'h'), requests: 1 },
  ])('is cancelled ($says), also when fetch returns it later', async ({ text, requests }) => {
    for (const isLate of [false, true]) {
      let [calls, cancelled] = [0, 0];
      const port = await serve(async ({ signal }) => {
        calls++;
        if (isLate) await new Promise((resolve) => signal.addEventListener('abort', resolve));
        return new Response(new ReadableStream({ cancel: () => void cancelled++ }));
      });
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      socket.write(text);
      await expect.poll(() => calls).toBe(requests);
      if (!isLate) await once(socket, 'data');
      socket.destroy();
      await expect.poll(() => cancelled).toBe(requests);
    }
  });
});

/** The answers to requests on one connection, as a client of HTTP/1.1 frames them. */
async function answers(
  port: number,
  requests: readonly string[],
): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const results = [];
  for (const request of requests) {
    const [method, path] = request.split(' ');
    const sent = httpRequest({ host: '127.0.0.1', port, path, method, agent }).end();
    const [res] = (await once(sent, 'response')) as [IncomingMessage];
    const chunks = await res.setEncoding('utf8').toArray();
    results.push({ status: res.statusCode!, headers: res.headers, body: chunks.join('') });
  }
  return results;
}

/** A stream of texts, each in its own turn. */
const streamOf = (...texts: string[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setImmediate(resolve));
      const text = texts.shift();
      if (text === undefined) controller.close();
      else controller.enqueue(new TextEncoder().encode(text));
    },
  });

describe('the length of a Response', () => {
  const wrong = { headers: { 'Content-Length': '5' } };
  const none = (status: number): Response => new Response(null, { ...wrong, status });

  it.each([
    ['a text', () => new Response('hello world'), 'hello world', '11'],
    ['a text with a length', () => new Response('hello world', wrong), 'hello world', '11'],
    ['a text shorter than its length', () => new Response('hi', wrong), 'hi', '2'],
    ['an empty text', () => new Response('', wrong), '', '0'],
    ['bytes', () => new Response(Buffer.alloc(100_000, 'x'), wrong), 'x'.repeat(1e5), '100000'],
    ['a stream', () => new Response(streamOf('hello', ' world'), wrong), 'hello world', undefined],
    ['no body', () => new Response(null, wrong), '', '0'],
    ['a 204', () => none(204), '', undefined],
    ['a 205', () => none(205), '', '0'],
    ['a 304', () => none(304), '', '5'],
  ])('is that of its body: %s', async (_, make, body, length) => {
    const port = await serve(({ url }) => (url.endsWith('/next') ? new Response('next') : make()));
    const seen = await answers(port, ['GET /', 'GET /next']);
    expect(seen.map((each) => [each.body, each.headers['content-length']])).toEqual([
      [body, length],
      ['next', '4'],
    ]);
    const [head, next] = await answers(port, ['HEAD /', 'GET /next']);
    expect([undefined, '5', length]).toContain(head!.headers['content-length']);
    expect(next!.body).toBe('next');
  });

  it.each([
    [204, undefined],
    [205, '0'],
    [304, '5'],
  ])('is the same with HEAD for %i', async (status, length) => {
    const port = await serve(() => none(status));
    expect((await answers(port, ['HEAD /']))[0]!.headers['content-length']).toBe(length);
  });

  it('is that of its body when the Response names trailers, which are not sent', async () => {
    const port = await serve(() => new Response('page', { headers: { Trailer: 'Digest' } }));
    const [{ status, headers, body }] = (await answers(port, ['GET /'])) as [never];
    expect([status, headers['content-length'], headers['trailer'], body]).toEqual([
      200,
      '4',
      undefined,
      'page',
    ]);
  });

  it('is not sent with HEAD for a body that is not read', async () => {
    const port = await serve(() => new Response('hello world', wrong));
    const [head] = await answers(port, ['HEAD /']);
    expect(head!.headers['content-length']).toBe(undefined);
  });

  it('is that of the body of a refused upgrade', async () => {
    const port = await serve(() => new Response('hello world', { ...wrong, status: 403 }));
    const { headers, body } = await refusal(port);
    expect([String(body), headers['content-length']]).toEqual(['hello world', '11']);
  });
});

describe('the head of a Response', () => {
  const silent = (): ReadableStream => new ReadableStream({});

  it.each(['GET', 'HEAD', 'POST'])(
    'is sent before the first chunk of a stream (%s)',
    async (method) => {
      const port = await serve(() => new Response(silent(), { headers: { 'X-Stream': 'yes' } }));
      const sent = httpRequest({ host: '127.0.0.1', port, method }).end();
      onTestFinished(() => void sent.destroy());
      sent.on('error', () => {});
      const [res] = (await once(sent, 'response')) as [IncomingMessage];
      expect([res.statusCode, res.headers['x-stream']]).toEqual([200, 'yes']);
    },
  );

  it('is sent before the first chunk of a stream that refuses an upgrade', async () => {
    const port = await serve(() => new Response(silent(), { status: 403 }));
    expect((await ask(port, handshake('/', 'h'))).slice(9, 12)).toBe('403');
  });
});

describe('a body that cannot be read', () => {
  const failing = (): Response =>
    new Response(
      new ReadableStream({
        pull() {
          throw new Error('no file');
        },
      }),
    );
  const locked = (): Response => {
    const response = new Response('page');
    response.body!.getReader();
    return response;
  };

  const chunkOf = (chunk: unknown) => (): Response =>
    new Response(
      new ReadableStream<unknown>({
        start(controller) {
          controller.enqueue(chunk);
          controller.close();
        },
      }) as never,
    );

  it.each([
    ['fails', failing, 'no file'],
    ['is locked', locked, 'create a Response for each request'],
    ['has an ArrayBuffer', chunkOf(new ArrayBuffer(4)), 'expected a Uint8Array'],
    ['has 16 bits for each element', chunkOf(new Uint16Array(4)), 'expected a Uint8Array'],
    ['has an object', chunkOf({}), 'expected a Uint8Array'],
  ])('is answered with 500 and reported when it %s', async (_, make, message) => {
    const reports: unknown[] = [];
    const port = await serve(make, { report: (error) => void reports.push(String(error)) });
    expect((await answers(port, ['GET /']))[0]).toMatchObject({
      status: 500,
      body: 'Internal Server Error\n',
    });
    expect((await refusal(port)).status).toBe(500);
    expect(reports).toEqual([expect.stringContaining(message), expect.stringContaining(message)]);
  });

  it.each(['GET', 'HEAD'])('is answered with 500 after a %s has used it', async (method) => {
    const kept = new Response('page');
    const reports: unknown[] = [];
    const port = await serve(() => kept, { report: (error) => void reports.push(error) });
    const seen = await answers(port, [`${method} /`, 'GET /']);
    expect(seen.map(({ status }) => status)).toEqual([200, 500]);
    expect(reports).toHaveLength(1);
  });
});

describe('close of a server whose pages are being sent', () => {
  it('reports no handlers', async () => {
    const reports: unknown[] = [];
    const server = await serveFetch(() => new Response(new ReadableStream({})), {
      ...LOCAL,
      report: (error) => void reports.push(String(error)),
    });
    const sent = httpRequest(server.url.replace('ws', 'http')).end();
    sent.on('error', () => {});
    await once(sent, 'response');
    await server.close({ timeout: 300 });
    expect(reports).toEqual([]);
  });
});

describe('options of serveFetch', () => {
  it.each([
    ['authenticate', () => true, /option of upgrade\(\)/],
    ['allowedOrigins', [], /option of upgrade\(\)/],
    ['subprotocols', ['a'], /option of upgrade\(\)/],
    ['headers', {}, /option of upgrade\(\)/],
    ['sameHost', false, /option of upgrade\(\)/],
    ['checkOrigin', () => true, /your fetch decides this/],
    ['request', () => {}, /your fetch decides this/],
    ['unmatched', 'leave', /your fetch decides this/],
    ['http2', true, /served over HTTP\/1\.1/],
    ['http2', 'clear', /served over HTTP\/1\.1/],
  ])('refuses %s, which would have no effect', async (name, value, message) => {
    const options = { ...LOCAL, [name]: value } as ServeFetchOptions;
    await expect(serveFetch(() => new Response(), options)).rejects.toThrow(message);
  });

  it('gives the option report the errors of fetch', async () => {
    const reports: unknown[] = [];
    const boom = new Error('boom');
    const port = await serve(
      () => {
        throw boom;
      },
      { report: (error) => void reports.push(error) },
    );
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(500);
    expect((await refusal(port)).status).toBe(500);
    expect(reports).toEqual([boom, boom]);
  });

  it("is no 'clientError' of the server when the body of a Response fails", async () => {
    const http = createServer();
    onTestFinished(() => void http.close());
    const clientErrors: unknown[] = [];
    http.on('clientError', (error) => void clientErrors.push(error));
    const reports: unknown[] = [];
    const boom = new Error('boom');
    let fail = (): void => {};
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.from('begin'));
        fail = () => controller.error(boom);
      },
    });
    await serve(() => new Response(body), {
      server: http,
      report: (error) => void reports.push(error),
    });
    const response = await fetch(`http://127.0.0.1:${(http.address() as AddressInfo).port}/`);
    fail();
    await expect(response.text()).rejects.toThrow();
    expect(reports).toEqual([boom]);
    expect(clientErrors).toEqual([]);
  });
});

describe('a Response of upgrade that is not returned', () => {
  const serveForgotten = async (
    fetchOf: (upgraded: Promise<Response>) => unknown,
    report?: (error: unknown) => void,
  ): Promise<{ port: number; reports: Error[] }> => {
    const reports: Error[] = [];
    const port = await serve(
      (request) => fetchOf(upgrade(request, report ? { report } : {}, () => {})) as Response,
      { report: (error) => void reports.push(error as Error) },
    );
    return { port, reports };
  };

  it.each([
    [
      'awaited',
      async (upgraded: Promise<Response>) => {
        await upgraded;
        return new Response('hello');
      },
    ],
    ['not awaited', () => new Response('hello')],
  ])('is reported once, when it was %s', async (_, fetchOf) => {
    const { port, reports } = await serveForgotten(fetchOf);
    for (let i = 0; i < 3; i++) expect((await refusal(port)).status).toBe(200);
    await expect.poll(() => reports).toHaveLength(1);
    expect(reports[0]?.message).toContain('write return upgrade(...)');
  });

  it('is reported to the report of upgrade', async () => {
    const own: unknown[] = [];
    const report = (error: unknown): void => void own.push(error);
    const { port, reports } = await serveForgotten(() => new Response('hello'), report);
    await refusal(port);
    await expect.poll(() => [own.length, reports.length]).toEqual([1, 0]);
  });

  it('is named when fetch returns nothing', async () => {
    const { port, reports } = await serveForgotten(() => {});
    expect((await refusal(port)).status).toBe(500);
    await expect
      .poll(() => reports.map(({ message }) => message))
      .toEqual(['fetch: expected a Response, got undefined; return that of upgrade()']);
  });

  it('is no mistake when a middleware refuses', async () => {
    const { port, reports } = await serveForgotten(async (upgraded) => {
      await upgraded;
      return new Response('no', { status: 403 });
    });
    expect((await refusal(port)).status).toBe(403);
    expect(reports).toEqual([]);
  });

  it('is no upgrade of a later request', async () => {
    let kept: Response | undefined;
    const port = await serve(async (request) => (kept ??= await upgrade(request, {}, () => {})), {
      report: () => {},
    });
    const conn = await dial(`ws://127.0.0.1:${port}/`);
    expect((await refusal(port)).status).toBe(500);
    await conn.close();
  });
});

describe('two servers of a process', () => {
  it('rejects upgrade on the one without a wrapper, also while the other answers the same key', async () => {
    let answer!: (response: Response) => void;
    const wrapped = await serve(() => new Promise((resolve) => (answer = resolve)));
    const other = createServer();
    onTestFinished(() => void other.close());
    const outcome = new Promise<unknown>((resolve) => {
      other.on('upgrade', (req, socket) => {
        const headers = Object.entries(req.headers).map(([name, value]): [string, string] => [
          name,
          String(value),
        ]);
        const request = new Request(`http://h${req.url}`, { headers });
        resolve(upgrade(request, {}, () => {}).then(String, String));
        socket.destroy();
      });
    });
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const waiting = ask(wrapped, handshake('/', `127.0.0.1:${wrapped}`));
    await expect.poll(() => answer).toBeDefined();
    await ask(port, handshake('/', `127.0.0.1:${port}`));
    expect(await outcome).toContain('this runtime needs the wrapper serveFetch');
    answer(new Response('done', { status: 403 }));
    await waiting;
  });

  it('upgrades copies of concurrent requests with the same key', async () => {
    const gates = new Map<string, () => void>();
    const port = await serve(async (request) => {
      const { pathname } = new URL(request.url);
      await new Promise<void>((resolve) => void gates.set(pathname, resolve));
      return upgrade(new Request(request), {}, (conn) => conn.close());
    });
    const targets = ['/1', '/2', '/3'];
    const answers = targets.map((target) => ask(port, handshake(target, 'localhost')));
    await expect.poll(() => gates.size).toBe(3);
    // The last request is answered before the first one is upgraded.
    for (const i of [2, 1, 0]) {
      gates.get(targets[i]!)!();
      expect((await answers[i]!).slice(9, 12)).toBe('101');
    }
  });

  it.each([
    [
      'pages',
      (...to: Parameters<typeof get>) => get(...to).replace('\r\n\r\n', `\r\n${KEY}\r\n\r\n`),
    ],
    ['handshakes', handshake],
  ])('upgrades copies beside %s of a stranger with the same key', async (_, stranger) => {
    const answers = new Map<string, (response?: Response) => void>();
    const reports: unknown[] = [];
    const port = await serve(
      async (request) => {
        const { pathname } = new URL(request.url);
        const answer = new Promise<Response | undefined>((resolve) => {
          answers.set(pathname, resolve);
        });
        if (pathname === '/page') return (await answer)!;
        const authenticate = async (): Promise<true> => answer.then(() => true);
        return upgrade(request.clone(), { authenticate }, (conn) => conn.close());
      },
      { report: (error) => void reports.push(error) },
    );
    const page = ask(port, stranger('/page', 'h'));
    await expect.poll(() => answers.size).toBe(1);
    const upgraded = ask(port, handshake('/chat', 'h'));
    await expect.poll(() => answers.size).toBe(2);
    answers.get('/page')!(new Response('page'));
    await page;
    answers.get('/chat')!();
    expect((await upgraded).slice(9, 12)).toBe('101');
    expect(reports).toEqual([]);
  });

  it('upgrades by a copy of the request', async () => {
    const port = await serve((request) =>
      upgrade(new Request(request), {}, (conn) => conn.send('hi')),
    );
    const conn = await dial(`ws://127.0.0.1:${port}/`);
    expect((await conn.readMessage()).text()).toBe('hi');
    await conn.close();
  });
});
