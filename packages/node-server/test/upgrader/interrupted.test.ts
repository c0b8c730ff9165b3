import { EventEmitter, once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  type Conn,
  type HandshakeError,
  TimeoutError,
  TransportError,
  Upgrader,
} from '../../src/index.ts';
import { connectRaw, exchange, masked, request } from '../raw.ts';
import { connected, endAfterEach, listening } from '../upgrade-server.ts';

endAfterEach();

describe('a client that disconnects during a check', () => {
  it.each([
    { how: 'by a reset', leave: (socket: Socket) => socket.resetAndDestroy() },
    { how: 'by a FIN', leave: (socket: Socket) => socket.end() },
  ])('$how aborts the signal and rejects upgrade', async ({ leave }) => {
    for (const check of ['checkOrigin', 'authenticate'] as const) {
      const waiting = new EventEmitter();
      let signal: AbortSignal | undefined;
      const wait = (_req: IncomingMessage, context?: { signal: AbortSignal }): Promise<true> => {
        signal = context?.signal;
        waiting.emit('asked');
        return new Promise(() => {});
      };
      const server = await listening(new Upgrader({ [check]: wait }));
      const client = await connected(server);
      const asked = once(waiting, 'asked');
      client.stream.write(request());
      await asked;
      leave(client.stream);
      const outcome = await server.outcome();
      expect(outcome).toBeInstanceOf(TransportError);
      if (check === 'authenticate') expect(signal?.reason).toBe(outcome);
      client.stream.destroy();
    }
  });

  it('aborts a signal that authenticate reads late', async () => {
    let state: boolean | undefined;
    const upgrader = new Upgrader({
      authenticate: async (req, context) => {
        req.socket.destroy();
        await once(req.socket, 'close');
        await new Promise((resolve) => setImmediate(resolve));
        state = context.signal.aborted;
        return false;
      },
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    client.stream.write(request());
    expect(await server.outcome()).toBeInstanceOf(TransportError);
    await expect.poll(() => state).toBe(true);
  });
});

describe('a reset at every stage of the handshake', () => {
  it('leaves nothing uncaught', async () => {
    const server = await listening(
      new Upgrader({
        checkOrigin: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          return true;
        },
        authenticate: () => new Promise<true>((resolve) => setTimeout(resolve, 1, true)),
      }),
    );
    const bytes = request({ behind: masked(1, 'early') });
    const attempts = Array.from({ length: 60 }, async (_, i) => {
      const client = await connectRaw(server.port);
      client.stream.write(bytes.subarray(0, Math.ceil((bytes.length * (i + 1)) / 30)));
      for (let turns = i % 7; turns > 0; turns--)
        await new Promise((resolve) => setImmediate(resolve));
      client.stream.resetAndDestroy();
      await client.closed;
    });
    await Promise.all(attempts);
    for (const outcome of server.outcomes) {
      if (!(outcome instanceof Error)) await (outcome as Conn).closed;
    }
  });

  it('during a refusal leaves nothing uncaught', async () => {
    const server = await listening(new Upgrader());
    const client = await connected(server);
    client.stream.write(request({ without: ['sec-websocket-key'] }));
    await client.until(() => client.received.length > 0);
    client.stream.resetAndDestroy();
    await client.closed;
    expect(await server.outcome()).toMatchObject({ status: 400 });
  });
});

describe('handshakeTimeout', () => {
  it.each(['checkOrigin', 'authenticate'] as const)(
    'answers 503 when %s does not end',
    async (check) => {
      let signal: AbortSignal | undefined;
      const upgrader = new Upgrader({
        handshakeTimeout: 20,
        [check]: (_req: IncomingMessage, context?: { signal: AbortSignal }) => {
          signal = context?.signal;
          return new Promise<true>(() => {});
        },
      });
      const server = await listening(upgrader);
      const answer = await exchange(server.port, request());
      expect(answer.status).toBe(503);
      const error = (await server.outcome()) as HandshakeError;
      expect(error).toMatchObject({ status: 503 });
      expect(error.cause).toBeInstanceOf(TimeoutError);
      if (check === 'authenticate') expect(signal?.aborted).toBe(true);
    },
  );

  it('can be switched off', async () => {
    const authenticate = (): Promise<true> =>
      new Promise((resolve) => setTimeout(resolve, 5, true));
    const server = await listening(new Upgrader({ handshakeTimeout: false, authenticate }));
    const client = await connected(server);
    expect((await client.upgrade()).status).toBe(101);
    ((await server.outcome()) as Conn).terminate();
  });
});
