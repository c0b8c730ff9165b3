// Values of another realm, as Jest and a vm context create them: no `instanceof` of this realm is
// true for them.
import vm from 'node:vm';
import { FakePlatform, TestTransport } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { causeText, isError } from '../src/errors.ts';
import {
  BinaryMessage,
  type BufferPool,
  broadcast,
  Conn,
  connPair,
  PingMessage,
  PreparedMessage,
} from '../src/index.ts';
import { WarningReporter } from '../src/report/report.ts';
import { wired } from './wired.ts';

const there = (code: string): never => vm.runInNewContext(code) as never;

const bytes: [string, ArrayBufferLike | ArrayBufferView][] = [
  ['ArrayBuffer', there('Uint8Array.of(1, 2).buffer')],
  ['SharedArrayBuffer', there('new Uint8Array(new SharedArrayBuffer(2)).fill(7).buffer')],
  ['Uint8Array', there('Uint8Array.of(1, 2)')],
  ['Float64Array', there('Float64Array.of(1)')],
  ['DataView', there('new DataView(new ArrayBuffer(3))')],
];

describe('bytes of another realm', () => {
  it.each(bytes)('an %s is sent', async (_, data) => {
    const [client, server] = connPair();
    const expected = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data);
    await client.send(data);
    await client.writeMessage(BinaryMessage, data);
    await client.writePreparedMessage(new PreparedMessage(BinaryMessage, data));
    const writer = await client.nextWriter(BinaryMessage);
    await writer.write(data);
    await writer.close();
    await client.writeControl(PingMessage, data);
    expect(broadcast([client], data)).toBe(1);
    for (let i = 0; i < 5; i++) expect((await server.readMessage()).data).toEqual(expected);
    client.terminate();
  });

  it('a Uint8Array is filled by a MessageReader', async () => {
    const [client, server] = connPair();
    await client.send('hello');
    const reader = await server.nextReader();
    const into: Uint8Array = there('new Uint8Array(8)');
    expect(await reader.read(into)).toBe(5);
    expect(Buffer.from(into).toString()).toBe('hello\0\0\0');
    client.terminate();
  });

  it('a Uint8Array comes from a buffer pool', async () => {
    const writeBufferPool: BufferPool = { get: () => there('new Uint8Array(70_000)'), put() {} };
    const { conn, output } = wired('server', { writeBufferPool });
    await conn.send('x');
    expect(await output()).toEqual(['text x']);
  });

  it.each([
    ['an object', {}],
    ['a false ArrayBuffer', { [Symbol.toStringTag]: 'ArrayBuffer', byteLength: 3 }],
    ['a false Uint8Array', { [Symbol.toStringTag]: 'Uint8Array', length: 3 }],
    ['a function', () => {}],
  ])('%s is still a TypeError', async (_, data) => {
    const [client] = connPair({ report: () => {} });
    await expect(client.send(data as never)).rejects.toThrow('expected a string or bytes');
    client.terminate();
  });
});

it('a Date of another realm is a deadline', async () => {
  const { conn, platform } = wired('server');
  conn.setReadDeadline(there('new Date(Date.now() + 1000)'));
  conn.setWriteDeadline(there('new Date(Date.now() + 60_000)'));
  await conn.writeControl(PingMessage, '', there('new Date(Date.now() + 60_000)'));
  const read = conn.readMessage();
  await platform.advance(1_100);
  await expect(read).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
  expect(() => conn.setReadDeadline({ getTime: () => 5 } as never)).toThrow('expected a Date');
});

describe('a filter of broadcast that returns a thenable', () => {
  it.each<[string, () => unknown]>([
    ['a promise', () => Promise.resolve(false)],
    ['a rejected promise', () => Promise.reject(new Error('no'))],
    ['a promise of another realm', () => there('Promise.resolve(false)')],
    // oxlint-disable-next-line unicorn/no-thenable -- a query of a database
    ['a query', () => ({ then: (done: (value: boolean) => void) => done(false) })],
    // oxlint-disable-next-line unicorn/no-thenable -- a query of a database
    ['a function with then', () => Object.assign(() => {}, { then: () => {} })],
  ])('sends nothing: %s', async (_, filter) => {
    const [client, server] = connPair();
    const call = (): number => broadcast([server], 'secret', { filter: filter as never });
    expect(call).toThrow(TypeError);
    expect(call).toThrow('it must be synchronous');
    expect(server.stats.messagesOut).toBe(0);
    client.terminate();
  });

  it('accepts a then that cannot be called', () => {
    const [, server] = connPair();
    // oxlint-disable-next-line unicorn/no-thenable -- it is none
    const filter = (): never => ({ then: 1 }) as never;
    expect(broadcast([server], 'x', { filter })).toBe(1);
  });
});

describe('other functions that are synchronous by contract', () => {
  it('get of a buffer pool is refused with a promise of another realm', async () => {
    const report = vi.fn();
    const get = (): never => there('Promise.reject(new Error("no"))');
    const { conn } = wired('server', { writeBufferPool: { get, put() {} }, report });
    await expect(conn.send('x')).rejects.toThrow('got a promise');
  });
});

describe('an error of another realm', () => {
  const error: Error = there(
    'Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", cause: new TypeError("deep") })',
  );

  it('keeps its words as a cause', () => {
    expect(error instanceof Error).toBe(false);
    expect([isError(error), isError({}), isError(undefined), isError('x')]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(causeText(error)).toBe('read ECONNRESET; the peer reset the connection');
  });

  it('of the transport is the reason of the end', async () => {
    const transport = new TestTransport();
    const conn = new Conn(transport, { role: 'client', platform: new FakePlatform() });
    transport.break(error);
    const info = await conn.closed;
    expect(info.code).toBe(1006);
    expect(String(info.error)).toContain('the peer reset the connection');
  });

  it('of a handler is printed with its name, its code, its stack and its cause', () => {
    const platform = new FakePlatform();
    new WarningReporter(platform).report(error);
    const [text] = platform.warnings;
    expect(text).toContain('Error [ECONNRESET]: read ECONNRESET\n    at evalmachine');
    expect(text).toContain('Cause: TypeError: deep');
  });
});
