// Each close code that the library sends by itself, against the default `stopCodes` of our own client:
// only a fault that comes again on every connection ends a ReconnectingConn.

import type { Socket } from 'node:net';
import { Hub } from '@ws/hub';
import { ReconnectingConn } from '@ws/node-client';
import {
  type AdmitOrRefuse,
  BackpressureError,
  type Conn,
  type ServeOptions,
  serve,
} from '@ws/node-server';
import { hex, nothingLeft, ownPort, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';

interface Case {
  readonly options?: ServeOptions<AdmitOrRefuse>;
  readonly handler?: (conn: Conn) => unknown;
  /** What the client does on each connection. */
  readonly act?: (conn: Conn) => unknown;
}

const echo = (conn: Conn): unknown => conn.receive((message) => conn.send(message));
const raw = (conn: Conn): Socket => conn.underlyingConn as Socket;
const burst = (conn: Conn): void => {
  for (let i = 0; i < 9; i++) void conn.send('x');
};

const RETURNS: Readonly<Record<string, Case & { readonly code: number }>> = {
  'a rate above its bound': {
    code: 1013,
    options: { rate: { messages: 2, over: 'close' } },
    act: burst,
  },
  'a message above readLimit': {
    code: 1009,
    options: { readLimit: 10 },
    act: (conn) => void conn.send('x'.repeat(11)),
  },
  'a handler that throws': {
    code: 1011,
    handler: () => Promise.reject(new Error('mine')),
  },
  'a handler of receive that throws': {
    code: 1011,
    handler: (conn) =>
      conn.receive(() => {
        throw new Error('mine');
      }),
    act: burst,
  },
  'a handler without room for its message': {
    code: 1013,
    handler: () => Promise.reject(new BackpressureError('full')),
  },
  'a broken frame': { code: 1002, act: (conn) => void raw(conn).write(hex('83 80 00000000')) },
  'text that is not UTF-8': {
    code: 1007,
    act: (conn) => void conn.writeMessage(1, Uint8Array.of(0xff)),
  },
  'the end of maxLifetime': { code: 1001, options: { maxLifetime: { ms: 20 } } },
  'the end of a login': {
    code: 4401,
    handler: async (conn) => {
      conn.renew(Date.now() + 20);
      await conn.discardReads().catch(() => {});
    },
  },
};

async function clientOf({ options, handler = echo, act }: Case) {
  const server = await serve({ port: 0, host: '127.0.0.1', report: () => {}, ...options }, (conn) =>
    handler(conn),
  );
  whenOver(() => server.close({ timeout: 1 }));
  const client = new ReconnectingConn(server.url, { minDelay: 1, maxDelay: 1, report: () => {} });
  whenOver(() => client.close());
  const codes: number[] = [];
  const opens: Conn[] = [];
  client.on('open', (conn) => {
    opens.push(conn as Conn);
    void act?.(conn as Conn);
  });
  client.on('close', ({ code }) => void codes.push(code));
  client.receive(() => {}).catch(() => {});
  return { client, codes, opens };
}

describe('a ReconnectingConn', () => {
  nothingLeft();

  it.each(Object.entries(RETURNS))('dials again after %s', async (_, { code, ...rest }) => {
    const { opens, codes } = await clientOf(rest);
    await expect.poll(() => opens.length).toBeGreaterThan(1);
    expect(codes[0]).toBe(code);
  });

  it('dials again after a server that closes', async () => {
    const server = await serve({ port: await ownPort(), host: '127.0.0.1' }, echo);
    const client = new ReconnectingConn(server.url, { minDelay: 1, maxDelay: 1, report: () => {} });
    whenOver(() => client.close());
    const codes: number[] = [];
    client.on('close', ({ code }) => void codes.push(code));
    client.receive(() => {}).catch(() => {});
    await expect.poll(() => server.connections.size).toBe(1);
    await server.close({ timeout: 100 });
    await expect.poll(() => codes).toEqual([1001]);
    expect(client.state).not.toBe('closed');
  });

  it('dials again after a hub for which it reads too slowly', async () => {
    const hub = new Hub({ maxQueuedMessages: 1 });
    const server = await serve({ port: 0, host: '127.0.0.1', highWaterMark: 1 }, hub.handler);
    whenOver(() => server.close({ timeout: 1 }));
    whenOver(() => hub.close({ timeout: 1 }));
    let connects = 0;
    hub.on('connect', (session) => {
      if (connects++ === 0) for (let i = 0; i < 300; i++) session.send('x'.repeat(100_000));
    });
    const client = new ReconnectingConn(server.url, { minDelay: 1, maxDelay: 1, report: () => {} });
    whenOver(() => client.close());
    client.receive(() => {}).catch(() => {});
    await expect.poll(() => connects).toBeGreaterThan(1);
  });

  it('ends after 1,025 empty fragments, which its program sends again each time', async () => {
    const fragments = `0180 00000000 ${'0080 00000000 '.repeat(1_025)}`;
    const { client, codes } = await clientOf({
      act: (conn) => void raw(conn).write(hex(fragments)),
    });
    await client.closed;
    expect(codes).toEqual([1008]);
  });
});
