import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { serve } from '../src/index.ts';
import { connectRaw, exchange, parseAnswer, serving, trapLeftovers } from './raw.ts';

trapLeftovers();

/** Sends bytes to the plain requests of a server. */
async function answerTo(bytes: string): Promise<{ status: number; served: string[] }> {
  const served: string[] = [];
  const server = await serving(
    {
      request: (req, res) => {
        served.push(req.url!);
        res.setHeader('Connection', 'close').end('a page');
      },
    },
    () => {},
  );
  const client = await connectRaw(server.port);
  client.stream.write(bytes);
  await client.closed;
  return { status: parseAnswer(client.received.toString()).status, served };
}

describe('a plain request', () => {
  it.each([
    ['no Host', ''],
    ['two Hosts', 'Host: good\r\nHost: evil\r\n'],
    ['the same Host twice', 'Host: good\r\nhost: good\r\n'],
    ['a space in its Host', 'Host: a b\r\n'],
    ['user info in its Host', 'Host: x@y\r\n'],
    ['a path in its Host', 'Host: y/z\r\n'],
    ['a port that is no number', 'Host: y:http\r\n'],
  ])('with %s is refused, and so are the requests after it', async (_, lines) => {
    const next = 'GET /next HTTP/1.1\r\nHost: good\r\n\r\n';
    expect(await answerTo(`GET / HTTP/1.1\r\n${lines}\r\n${next}`)).toEqual({
      status: 400,
      served: [],
    });
  });

  it.each(['Host: good', 'Host: good:80', 'Host: [::1]:80', 'Host:', 'Host: a_b'])(
    'with %s is served',
    async (line) => {
      const bytes = `GET / HTTP/1.1\r\n${line}\r\n\r\n`;
      expect(await answerTo(bytes)).toEqual({ status: 200, served: ['/'] });
    },
  );

  it('of HTTP/1.0 needs no Host, and has at most one', async () => {
    expect(await answerTo('GET / HTTP/1.0\r\n\r\n')).toMatchObject({ status: 200 });
    const twice = 'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n';
    expect(await answerTo(twice)).toMatchObject({ status: 400 });
  });

  it('with HEAD is refused where node:http rejects a body for it', async () => {
    const http = createServer({ rejectNonStandardBodyWrites: true });
    onTestFinished(() => void http.close());
    const server = await serve({ server: http, host: '127.0.0.1' }, () => {});
    const port = Number(new URL(server.url).port);
    const answer = await exchange(port, Buffer.from('HEAD / HTTP/1.1\r\nHost: good\r\n\r\n'));
    expect([answer.status, answer.body]).toEqual([426, '']);
    await server.close();
  });

  it('gets 500 when `request` sets a reason that cannot be sent', async () => {
    const request: RequestListener = (_req, res) => {
      res.statusMessage = 'no €';
      res.end();
    };
    const reported: unknown[] = [];
    const report = (error: unknown): void => void reported.push(error);
    const server = await serve({ host: '127.0.0.1', request, report }, () => {});
    const port = Number(new URL(server.url).port);
    const { statusLine } = await exchange(
      port,
      Buffer.from('GET / HTTP/1.1\r\nHost: good\r\n\r\n'),
    );
    expect(statusLine).toBe('HTTP/1.1 500 Internal Server Error');
    expect(reported).toMatchObject([{ code: 'ERR_INVALID_CHAR' }]);
    await server.close();
  });

  /** Sends a body to a `request` that fails. */
  async function postTo(request: RequestListener): Promise<void> {
    const server = await serve({ host: '127.0.0.1', request, report: () => {} }, () => {});
    const port = Number(new URL(server.url).port);
    const bytes = 'POST / HTTP/1.1\r\nHost: good\r\nContent-Length: 2\r\n\r\nab';
    expect((await exchange(port, Buffer.from(bytes))).status).toBe(500);
    await server.close();
  }

  it('ends at once when `request` fails after it has read the body', async () => {
    let ended: boolean | undefined;
    const fails = async (req: IncomingMessage, res: ServerResponse): Promise<never> => {
      req.resume();
      await once(req, 'end');
      setImmediate(() => {
        ended = res.writableEnded;
      });
      throw new Error('mine');
    };
    const request = fails as (req: IncomingMessage, res: ServerResponse) => void;
    await postTo(request);
    expect(ended).toBe(true);
  });

  it('has its body dropped when `request` fails after it has paused it', async () => {
    let dropped: boolean | undefined;
    const request: RequestListener = (req, res) => {
      req.pause();
      res.on('finish', () => {
        dropped = req.readableEnded;
      });
      throw new Error('mine');
    };
    await postTo(request);
    expect(dropped).toBe(true);
  });
});
