import { describe, expect, it, onTestFinished } from 'vitest';
import { type FreshURL, ReconnectingConn } from '../../src/index.ts';
import { accepts, acceptsAndDrops, answers, connected, fast, iterate, turn } from './iterating.ts';

describe('a function for the URL', () => {
  it('is called for every dial, with what headers returns for it', async () => {
    const requests: string[] = [];
    const server = await answers((socket, request) => {
      requests.push(request.text);
      acceptsAndDrops(socket, request);
    });
    let n = 0;
    const url: FreshURL = async () => {
      await turn();
      return new URL(`${server.url}/?ticket=${++n}`);
    };
    const iterator = iterate(url, { headers: () => ({ 'X-Ticket': String(n) }) });
    for (let i = 0; i < 3; i++) await connected(iterator);
    const seen = requests.map((text) => /ticket=(\d).*X-Ticket: (\d)/s.exec(text)?.slice(1));
    expect(seen).toEqual([
      ['1', '1'],
      ['2', '2'],
      ['3', '3'],
    ]);
  });

  it('serves a ReconnectingConn too', async () => {
    const paths: string[] = [];
    const server = await answers((socket, request) => {
      paths.push(/^GET (\S+)/.exec(request.text)![1]!);
      acceptsAndDrops(socket, request);
    });
    let n = 0;
    const live = new ReconnectingConn(() => `${server.url}/${++n}`, fast);
    onTestFinished(() => void live.close());
    void live.receive(() => {}).catch(() => {});
    const second = new Promise((resolve) => live.on('open', () => n === 2 && resolve(undefined)));
    await second;
    expect(paths.slice(0, 2)).toEqual(['/1', '/2']);
  });

  it('is called again after an error of its requests, and retry gets it', async () => {
    const server = await answers(accepts);
    const errors = [
      new Error('no ticket: 503'),
      new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') }),
    ];
    const failures = [...errors];
    const seen: unknown[] = [];
    const url = (): string => {
      const error = failures.shift();
      if (error !== undefined) throw error;
      return server.url;
    };
    await connected(iterate(url, { retry: (error) => void seen.push(error) }));
    expect(seen).toEqual(errors);
  });

  it.each([new TypeError('x is not a function'), new ReferenceError('x'), new SyntaxError('x')])(
    'ends the iteration with a programming error: %s',
    async (error) => {
      const url = async (): Promise<string> => {
        throw error;
      };
      await expect(iterate(url).next()).rejects.toBe(error);
    },
  );

  it.each([
    [undefined, 'url: expected a string or a URL from the function, got undefined'],
    [5, 'url: expected a string or a URL from the function, got number'],
    ['ftp://h', 'malformed WebSocket URL'],
  ])('ends the iteration with an error for the result %s', async (result, words) => {
    await expect(iterate(() => result as never).next()).rejects.toThrow(words);
  });

  it('does not hide a wrong option', () => {
    const url = (): string => 'ws://h/';
    expect(() => new ReconnectingConn(url, { headers: { Upgrade: 'x' } })).toThrow('Upgrade');
    expect(() => new ReconnectingConn(url, { subprotocols: ['a b'] })).toThrow(SyntaxError);
  });
});
