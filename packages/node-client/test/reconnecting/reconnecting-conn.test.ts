import { describe, expect, it, onTestFinished } from 'vitest';
import { ReconnectingConn, reconnecting, TransportError } from '../../src/index.ts';
import { accepts, answers, closes, drops, fast, refuses } from './iterating.ts';

describe('reconnecting with a handler', () => {
  it('dials a URL until a close code of stopCodes', async () => {
    const server = await answers(drops, closes(1001), closes(1008));
    const codes: number[] = [];
    await reconnecting(server.url, fast, async (conn) => {
      expect(conn.response.status).toBe(101);
      codes.push((await conn.closed).code);
    });
    expect(codes).toEqual([1001, 1008]);
  });

  it('rejects with a permanent failure, and with a wrong URL', async () => {
    const server = await answers(refuses(404));
    await expect(reconnecting(server.url, fast, () => {})).rejects.toMatchObject({ status: 404 });
    await expect(reconnecting('localhost:8080', fast, () => {})).rejects.toThrow(SyntaxError);
  });
});

describe('ReconnectingConn', () => {
  it('dials a URL again, and sends what waited', async () => {
    const server = await answers(drops, refuses(503, 'Retry-After: 0\r\n'), accepts);
    const failures: unknown[] = [];
    const live = new ReconnectingConn(server.url, {
      ...fast,
      retry: (error) => void failures.push(error),
    });
    onTestFinished(() => void live.close());
    await live.send('hello');
    expect(live.conn?.response.status).toBe(101);
    expect(failures).toEqual([
      expect.any(TransportError),
      expect.objectContaining({ status: 503 }),
    ]);
  });

  it('ends with a permanent failure, and with the messages that waited', async () => {
    const server = await answers(refuses(401));
    const live = new ReconnectingConn(server.url, fast);
    const waiting = live.send('hello');
    const { error, unsent } = await live.closed;
    expect(error).toMatchObject({ status: 401 });
    expect(unsent.map((message) => message.text())).toEqual(['hello']);
    await expect(waiting).rejects.toBe(error);
  });

  it('bounds onOpen by handshakeTimeout: a failed dial', async () => {
    const server = await answers(accepts, accepts);
    const errors: unknown[] = [];
    let opens = 0;
    const live = new ReconnectingConn(server.url, {
      ...fast,
      closeTimeout: 50,
      handshakeTimeout: 100,
      report: () => {},
      retry: (error) => void errors.push(error),
      onOpen: (conn) => (opens++ === 0 ? conn.readMessage() : undefined),
    });
    onTestFinished(() => void live.close());
    await live.send('x');
    // On a busy machine, a handshake may last longer too.
    expect(errors).toContainEqual(
      expect.objectContaining({
        code: 'WS_ERR_TIMEOUT',
        message: expect.stringContaining(
          'onOpen: not finished after 100 ms (option handshakeTimeout)',
        ),
      }),
    );
  });

  it('ends with a programming error of onOpen', async () => {
    const server = await answers(accepts);
    const live = new ReconnectingConn(server.url, {
      ...fast,
      // The server answers no close frame.
      closeTimeout: 50,
      onOpen: () => (undefined as unknown as { x: number }).x,
    });
    expect((await live.closed).error).toBeInstanceOf(TypeError);
    expect(live.state).toBe('closed');
  });

  it.each([
    ['localhost:8080', {}, 'malformed WebSocket URL'],
    ['ws://127.0.0.1:1/', { maxQueuedBytes: 0 }, 'maxQueuedBytes: 0 is not a bound'],
    ['ws://127.0.0.1:1/', { onopen: () => {} }, 'ReconnectingConn: unknown option onopen'],
    ['ws://127.0.0.1:1/', { onOpen: 5 }, 'onOpen: expected a function, got number'],
  ])('throws for %s with %j', (url, options, message) => {
    expect(() => new ReconnectingConn(url, options as never)).toThrow(message);
  });
});
