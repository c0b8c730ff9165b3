import { describe, expect, it, onTestFinished } from 'vitest';
import { type AdmitOrRefuse, admit, route, type ServeOptions, serve } from '../src/index.ts';
import { type Answer, exchange, request, trapLeftovers } from './raw.ts';

trapLeftovers();

type Headers = ServeOptions<AdmitOrRefuse>['headers'];

/** Sends one request to a route and to a server; returns the answer and what was reported. */
async function answered(
  headers: Headers,
  routeHeaders?: Headers,
): Promise<{ answer: Answer; reported: string[] }> {
  const reported: string[] = [];
  const server = await serve<AdmitOrRefuse>(
    {
      host: '127.0.0.1',
      authenticate: () => admit('ada'),
      headers,
      report: (error) => reported.push(String(error)),
    },
    { '/:room': route({ headers: routeHeaders }, (conn) => conn.terminate()) },
  );
  onTestFinished(async () => void (await server.close()));
  const bytes = request({ line: 'GET /a?b=c HTTP/1.1' });
  return { answer: await exchange(Number(new URL(server.url).port), bytes), reported };
}

describe('the option headers', () => {
  it('adds headers to the 101', async () => {
    const { answer } = await answered({ 'Set-Cookie': ['a=1', 'b=2'], 'X-Count': '5' });
    expect(answer.status).toBe(101);
    expect(answer.raw).toContain('Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Count: 5\r\n');
  });

  it.each([
    ['at once', (value: object) => value],
    ['later', (value: object) => Promise.resolve(value)],
  ])('takes a function that returns them %s, with the request and its context', async (_, wrap) => {
    const { answer } = await answered(((req, { auth, params, query, path, address }) =>
      wrap({
        'X-All': [req.method, auth, params['room'], query.get('b'), path, address].join(' '),
      })) as Headers);
    expect(answer.headers.get('x-all')).toBe('GET ada a c /a 127.0.0.1');
  });

  it('merges those of a route, whose lines win', async () => {
    const { answer } = await answered({ 'X-A': 'server', 'x-b': ['server', 'server'] }, () => ({
      'X-B': 'route',
      'X-C': 'route',
    }));
    expect(answer.raw).toContain('X-A: server\r\nX-B: route\r\nX-C: route\r\n');
    expect(answer.raw).not.toContain('x-b');
  });

  it.each<[string, () => unknown, string]>(
    // biome-ignore format: a table
    [
      [
        'throws',
        () => {
          throw new Error('mine');
        },
        'Error: mine',
      ],
      ['rejects', () => Promise.reject(new Error('mine')), 'Error: mine'],
      ['owns a header', () => ({ Upgrade: 'h2c' }), 'TypeError: headers: header Upgrade is set by the handshake'],
      ['selects', () => ({ 'sec-websocket-protocol': 'a' }), 'TypeError: headers: sec-websocket-protocol is set by the handshake; use option subprotocols'],
      ['breaks a line', () => ({ 'X-A': 'a\r\nB: c' }), 'TypeError: headers: Invalid character in header content ["X-A"]'],
    ],
  )('refuses with 500 and reports a function that %s', async (_, headers, error) => {
    const { answer, reported } = await answered(headers as Headers);
    expect(answer).toMatchObject({ status: 500, body: 'Internal Server Error\n' });
    expect(reported).toEqual([error]);
  });
});
