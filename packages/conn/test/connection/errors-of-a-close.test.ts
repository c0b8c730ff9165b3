import type { Role } from '@ws/codec';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Conn, WebSocketError } from '../../src/index.ts';
import { wired } from '../wired.ts';

const ROLES: readonly Role[] = ['server', 'client'];

/** Every error of the library since the test began. */
let created: Error[] = [];

/** Takes the place of `Error` as the base class of {@link WebSocketError}. */
class RecordedError extends Error {
  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    created.push(this);
  }
}

beforeEach(() => {
  created = [];
  Object.setPrototypeOf(WebSocketError, RecordedError);
});

afterEach(() => void Object.setPrototypeOf(WebSocketError, Error));

const READS: readonly { says: string; read: (conn: Conn) => unknown }[] = [
  { says: 'nothing', read: () => {} },
  { says: 'receive', read: (conn) => conn.receive(() => {}) },
  { says: 'discardReads', read: (conn) => conn.discardReads() },
  {
    says: 'a loop',
    read: async (conn) => {
      for await (const message of conn) message.text();
    },
  },
];

const NORMAL = Uint8Array.of(0x03, 0xe8);
/** Names the code that has captured a stack trace. */
const TRACE = /\n +at /;

describe.each(ROLES)('a clean close of a %s that reads by', (role) => {
  describe.each(READS)('$says', ({ read }) => {
    it('creates one error without a stack trace when the peer closes', async () => {
      const { conn, transport, frame, deliver } = wired(role);
      read(conn);
      await deliver(frame(8, NORMAL));
      transport.feedEnd();
      await expect(conn.closed).resolves.toMatchObject({ code: 1000, wasClean: true });
      expect(created.map(({ name }) => name)).toEqual(['CloseError']);
      expect(created[0]!.stack).not.toMatch(TRACE);
    });

    it('creates one error without a stack trace when this end closes', async () => {
      const { conn, platform, transport, frame, deliver } = wired(role);
      read(conn);
      const closed = conn.close();
      await platform.settle();
      await deliver(frame(8, NORMAL));
      transport.feedEnd();
      await expect(closed).resolves.toMatchObject({ code: 1000, wasClean: true });
      expect(created.map(({ name }) => name)).toEqual(['CloseError']);
      expect(created[0]!.stack).not.toMatch(TRACE);
    });
  });

  it('names the line of a read and of a write after it', async () => {
    const { conn, transport, frame, deliver } = wired(role);
    await deliver(frame(8, NORMAL));
    transport.feedEnd();
    const lateRead = async (): Promise<void> => void (await conn.readMessage());
    const lateSend = async (): Promise<void> => void (await conn.send('late'));
    await expect(lateRead()).rejects.toMatchObject({ stack: expect.stringContaining('lateRead') });
    await expect(lateSend()).rejects.toMatchObject({ stack: expect.stringContaining('lateSend') });
  });

  it('names the line of a write after the peer has ended without a close frame', async () => {
    const { conn, platform, transport } = wired(role);
    await platform.settle();
    transport.feedEnd();
    await platform.settle();
    transport.break();
    await platform.settle();
    const lateSend = async (): Promise<void> => void (await conn.send('late'));
    await expect(lateSend()).rejects.toMatchObject({
      name: 'CloseError',
      stack: expect.stringContaining('lateSend'),
    });
  });
});
