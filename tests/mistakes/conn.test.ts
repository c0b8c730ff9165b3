import { broadcast, joinMessages, PreparedMessage } from '@ws/conn';
import { toDuplex } from '@ws/node-server';
import { roomsOf } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { conn, h, live, type Mistake, tells, type Untyped } from './tells.ts';

const MISTAKES: readonly Mistake[] = [
  ['send()', () => conn().send(), 'send: expected a string or bytes, got undefined'],
  ['send(null)', () => conn().send(null), 'send: expected a string or bytes, got null'],
  ['send(5)', () => conn().send(5), 'send: expected a string or bytes, got number'],
  [
    'send({})',
    () => conn().send({ a: 1 }),
    'send: expected a string or bytes, got Object; writeJSON sends objects, and options come after the data',
  ],
  [
    'send([1])',
    () => conn().send([1]),
    'send: expected a string or bytes, got Array; writeJSON sends objects, and options come after the data',
  ],
  ['send(true)', () => conn().send(true), 'send: expected a string or bytes, got boolean'],
  [
    'send(promise)',
    () => conn().send(Promise.resolve('x')),
    'send: expected a string or bytes, got Promise; await it',
  ],
  [
    'send(Date)',
    () => conn().send(new Date()),
    'send: expected a string or bytes, got Date; writeJSON sends objects, and options come after the data',
  ],
  ['send(Symbol)', () => conn().send(Symbol('a')), 'send: expected a string or bytes, got symbol'],
  ['send(1n)', () => conn().send(1n), 'send: expected a string or bytes, got bigint'],
  ['send(fn)', () => conn().send(h), 'send: expected a string or bytes, got function'],
  [
    'send(x,cb)',
    () => conn().send('x', h),
    'send: expected an object of options, got function; a result is a promise: await it',
  ],
  [
    'send(x,true)',
    () => conn().send('x', true),
    'send: expected an object of options, got boolean',
  ],
  [
    'send(x,{binary})',
    () => conn().send('x', { binary: true }),
    'send: unknown option binary; known options: compress, signal',
  ],
  [
    'send(x,{mask})',
    () => conn().send('x', { mask: true }),
    'send: unknown option mask; known options: compress, signal',
  ],
  ['send(1,x)', () => conn().send(1, 'x'), 'send: expected an object of options, got string'],
  [
    'send("event",{})',
    () => conn().send('event', { a: 1 }),
    'send: unknown option a; known options: compress, signal',
  ],
  [
    'writeMessage(x)',
    () => conn().writeMessage('x'),
    'websocket: bad write message type: string; use TextMessage or BinaryMessage, or send(data)',
  ],
  [
    'writeMessage("text",x)',
    () => conn().writeMessage('text', 'x'),
    'websocket: bad write message type: string; use TextMessage or BinaryMessage, or send(data)',
  ],
  [
    'writeMessage(x,1)',
    () => conn().writeMessage('x', 1),
    'websocket: bad write message type: string; use TextMessage or BinaryMessage, or send(data)',
  ],
  [
    'writeMessage(3,x)',
    () => conn().writeMessage(3, 'x'),
    'websocket: bad write message type: 3; use TextMessage or BinaryMessage, or send(data)',
  ],
  ['writeJSON()', () => conn().writeJSON(), 'websocket: undefined cannot be written as JSON'],
  [
    'writeJSON(undefined)',
    () => conn().writeJSON(undefined),
    'websocket: undefined cannot be written as JSON',
  ],
  [
    'writeJSON(1n)',
    () => conn().writeJSON(1n),
    'websocket: value cannot be written as JSON: Do not know how to serialize a BigInt',
  ],
  ['writeJSON(fn)', () => conn().writeJSON(h), 'websocket: function cannot be written as JSON'],
  [
    'writeJSON(Map)',
    () => conn().writeJSON(new Map([[1, 2]])),
    'writeJSON: a Map, which JSON does not have; write [...value]',
  ],
  [
    'writeJSON({Map})',
    () => conn().writeJSON({ a: new Map([[1, 2]]) }),
    'writeJSON: "a" is a Map, which JSON does not have; write [...value]',
  ],
  [
    'writeJSON(promise)',
    () => conn().writeJSON(Promise.resolve(1)),
    'writeJSON: a Promise, which JSON does not have; await it',
  ],
  [
    'writeJSON({promise})',
    () => conn().writeJSON({ a: Promise.resolve(1) }),
    'writeJSON: "a" is a Promise, which JSON does not have; await it',
  ],
  [
    'writeJSON(cyclic)',
    () => {
      const a: Untyped = {};
      a.a = a;
      return conn().writeJSON(a);
    },
    'websocket: value cannot be written as JSON: Converting circular structure to JSON',
  ],
  [
    'writeJSON(x,null,2)',
    () => conn().writeJSON({}, null, 2),
    'writeJSON: expected an object of options, got null',
  ],
  [
    'writeJSON("a",{})',
    () => conn().writeJSON('event', { a: 1 }),
    'writeJSON: unknown option a; known options: compress, signal',
  ],
  [
    'close("bye")',
    () => conn().close('bye'),
    'websocket: a close code is a number, got string; the reason is the second argument',
  ],
  [
    'close({code})',
    () => conn().close({ code: 1000 }),
    'websocket: a close code is a number, got Object; the reason is the second argument',
  ],
  [
    'close(1005)',
    () => conn().close(1005),
    'websocket: close code 1005 must not be sent; writeControl(CloseMessage) sends none',
  ],
  [
    'close(1006)',
    () => conn().close(1006),
    'websocket: close code 1006 must not be sent; use 1000-1003, 1007-1014 or 3000-4999',
  ],
  [
    'close(999)',
    () => conn().close(999),
    'websocket: close code 999 must not be sent; use 1000-1003, 1007-1014 or 3000-4999',
  ],
  [
    'close(5000)',
    () => conn().close(5000),
    'websocket: close code 5000 must not be sent; use 1000-1003, 1007-1014 or 3000-4999',
  ],
  [
    'close(1000,5)',
    () => conn().close(1000, 5),
    'websocket: a close reason is a string, got number',
  ],
  [
    'close(1000,long)',
    () => conn().close(1000, 'x'.repeat(200)),
    'websocket: a close reason has at most 123 bytes of UTF-8',
  ],
  [
    'close(cb)',
    () => conn().close(h),
    'websocket: a close code is a number, got function; the reason is the second argument',
  ],
  [
    'close("1000")',
    () => conn().close('1000'),
    'websocket: a close code is a number, got string; the reason is the second argument',
  ],
  [
    'close(1000,{})',
    () => conn().close(1000, { discard: true }),
    'close: expected a reason; options are the third argument',
  ],
  [
    'close(1000,"",{force})',
    () => conn().close(1000, '', { force: true }),
    'close: unknown option force; known options: discard, signal, timeout',
  ],
  ['receive()', () => conn().receive(), 'receive: expected a function, got undefined'],
  ['receive({})', () => conn().receive({}), 'receive: expected a function, got Object'],
  [
    'receive(promise)',
    () => conn().receive(Promise.resolve()),
    'receive: expected a function, got Promise',
  ],
  [
    'receive("message",h)',
    () => conn().receive('message', h),
    'receive: it takes no schema and no further argument; check the value in your handler',
  ],
  [
    'receive(h,{})',
    () => conn().receive(h, {}),
    'receive: it takes no schema and no further argument; check the value in your handler',
  ],
  [
    'readMessage(5)',
    () => conn().readMessage(5),
    'readMessage: expected an object of options, got number; write { timeout: 5 }',
  ],
  [
    'readMessage(h)',
    () => conn().readMessage(h),
    'readMessage: expected an object of options, got function; a result is a promise: await it',
  ],
  [
    'readMessage({timeout:"1s"})',
    () => conn().readMessage({ timeout: '1s' }),
    'timeout: expected a number, got string',
  ],
  [
    'readMessage({ms})',
    () => conn().readMessage({ ms: 5 }),
    'readMessage: unknown option ms; known options: signal, timeout',
  ],
  [
    'readJSON(schema)',
    () => conn().readJSON(z.string()),
    'readJSON: it takes no schema and no further argument; check the value in your handler',
  ],
  [
    'readJSON({schema})',
    () => conn().readJSON({ schema: z.string() }),
    'readJSON: unknown option schema; check the value in your handler',
  ],
  [
    'nextReader(5)',
    () => conn().nextReader(5),
    'nextReader: expected an object of options, got number; write { timeout: 5 }',
  ],
  [
    'nextWriter("text")',
    () => conn().nextWriter('text'),
    'websocket: bad write message type: string; use TextMessage or BinaryMessage, or send(data)',
  ],
  [
    'nextWriter({type})',
    () => conn().nextWriter({ type: 1 }),
    'websocket: bad write message type: Object; use TextMessage or BinaryMessage, or send(data)',
  ],
  [
    'ping(h)',
    () => conn().ping(h),
    'ping: expected a string or bytes, got function; options are the second argument',
  ],
  [
    'ping(5)',
    () => conn().ping(5),
    'ping: expected a string or bytes, got number; options are the second argument',
  ],
  [
    'ping("x".200)',
    () => conn().ping('x'.repeat(200)),
    'websocket: invalid control frame: 200 bytes of payload, at most 125 are allowed',
  ],
  [
    'ping({data})',
    () => conn().ping({ data: 'x' }),
    'ping: expected a string or bytes, got Object; options are the second argument',
  ],
  [
    'setReadDeadline(5s)',
    () => conn().setReadDeadline('5s'),
    'deadline: expected a Date, ms since 1970 or null, got string',
  ],
  [
    'setReadDeadline(undefined)',
    () => conn().setReadDeadline(),
    'deadline: expected a Date, ms since 1970 or null, got undefined',
  ],
  ['setReadLimit("1")', () => conn().setReadLimit('1'), 'readLimit: expected a number, got string'],
  [
    'setPingHandler(5)',
    () => conn().setPingHandler(5),
    'setPingHandler: expected a function or null, got number',
  ],
  [
    'conn.onmessage=',
    () => {
      conn().onmessage = h;
    },
    'conn.on: a Conn emits no events; read with receive(handler) or for await, and await conn.closed',
  ],
  [
    'conn.onclose=',
    () => {
      conn().onclose = h;
    },
    'onclose: a Conn emits no events; await conn.closed',
  ],
  [
    'conn.onopen=',
    () => {
      conn().onopen = h;
    },
    'onopen: a Conn emits no events; await conn.closed',
  ],
  [
    'conn.onerror=',
    () => {
      conn().onerror = h;
    },
    'onerror: a Conn emits no events; await conn.closed',
  ],
  ['conn.pause()', () => conn().pause(), 'conn.pause: a peer waits by itself while no code reads'],
  [
    'conn.resume()',
    () => conn().resume(),
    'conn.resume: a peer waits by itself while no code reads',
  ],
  ['conn.pong()', () => conn().pong(), 'conn.pong: pings are answered by themselves'],
  ['conn.pipe()', () => conn().pipe({}), 'conn.pipe: write toDuplex(conn) or toStreams()'],
  ['conn.write()', () => conn().write('x'), 'conn.write: write send(data), or writeJSON(value)'],
  ['conn.end()', () => conn().end(), 'conn.end: write close(code, reason)'],
  ['conn.destroy()', () => conn().destroy(), 'conn.destroy: write terminate()'],
  [
    'conn.removeAllListeners()',
    () => conn().removeAllListeners(),
    'conn.removeAllListeners: a Conn emits no events; read with receive(handler) or for await, and await conn.close',
  ],
  [
    'conn.cork()',
    () => conn().cork(h),
    'conn.cork: frames of one turn leave together by themselves',
  ],
  ['conn.recv', () => conn().recv(), 'conn.recv: write readMessage()'],
  ['conn.read', () => conn().read(), 'conn.read: write readMessage()'],
  [
    'conn.writeText',
    () => conn().writeText('a'),
    'conn.writeText: write send(data), or writeJSON(value)',
  ],
  ['conn.readText', () => conn().readText(), 'conn.readText: write readMessage()'],
  [
    'broadcast(data,conns)',
    () => (broadcast as Untyped)('x', [conn()]),
    'broadcast: expected a string or bytes, got Array; JSON.stringify makes a string of it',
  ],
  [
    'broadcast(conn,data)',
    () => (broadcast as Untyped)(conn(), 'x'),
    'broadcast: expected Conns, such as server.connections, got Object',
  ],
  [
    'broadcast([])',
    () => (broadcast as Untyped)([]),
    'broadcast: expected a string or bytes, got undefined',
  ],
  [
    'broadcast([null],x)',
    () => (broadcast as Untyped)([null], 'x'),
    'broadcast: expected Conns, got null',
  ],
  [
    'broadcast([conn],{})',
    () => (broadcast as Untyped)([conn()], {}),
    'broadcast: expected a string or bytes, got Object; JSON.stringify makes a string of it',
  ],
  [
    'broadcast(set,x,cb)',
    () => (broadcast as Untyped)([conn()], 'x', h),
    'broadcast: expected an object of options, got function; a result is a promise: await it',
  ],
  [
    'joinMessages()',
    () => (joinMessages as Untyped)(),
    'joinMessages: expected a Conn, got undefined',
  ],
  [
    'joinMessages(conn,5)',
    () => joinMessages(conn(), 5 as Untyped),
    'joinMessages: expected a string, got number',
  ],
  ['toDuplex()', () => (toDuplex as Untyped)(), 'toDuplex: expected a Conn, got undefined'],
  ['toDuplex({})', () => toDuplex({} as Untyped), 'toDuplex: expected a Conn, got Object'],
  [
    'toDuplex(conn,{encoding})',
    () => toDuplex(conn(), { encoding: 'utf8' } as Untyped),
    'toDuplex: unknown option encoding; known options: highWaterMark, signal',
  ],
  [
    'new PreparedMessage()',
    () => new (PreparedMessage as Untyped)(),
    'websocket: bad write message type: undefined',
  ],
  [
    'new PreparedMessage("x")',
    () => new (PreparedMessage as Untyped)('x'),
    'websocket: bad write message type: x',
  ],
  [
    'new PreparedMessage(1,{})',
    () => new PreparedMessage(1, {} as Untyped),
    'new PreparedMessage: expected a string or bytes, got Object; JSON.stringify makes a string of it',
  ],
  [
    'joinMessages()',
    () => (joinMessages as Untyped)(),
    'joinMessages: expected a Conn, got undefined',
  ],
  ['toDuplex()', () => (toDuplex as Untyped)(), 'toDuplex: expected a Conn, got undefined'],
  ['toDuplex({})', () => (toDuplex as Untyped)({}), 'toDuplex: expected a Conn, got Object'],
];

const MADE: [string, unknown, string][] = [
  ['a Map', new Map([[1, 2]]), 'a Map, which JSON does not have; write [...value]'],
  ['a Set', { tags: new Set([1]) }, '"tags" is a Set, which JSON does not have'],
  ['a promise', Promise.resolve(1), 'a Promise, which JSON does not have; await it'],
  ['a promise in an object', { user: Promise.resolve(1) }, '"user" is a Promise'],
];

describe('a mistake with a Conn', () => tells(MISTAKES));

describe('N16 a value that JSON does not have', () => {
  it.each(MADE)('rejects in writeJSON and publish: %s', async (_, value, says) => {
    await expect(conn().writeJSON(value)).rejects.toThrow(`writeJSON: ${says}`);
    await expect(roomsOf(live()).publish('a', value)).rejects.toThrow(`publish: ${says}`);
    await expect(conn().writeJSON({ a: {}, b: [] })).resolves.toBeUndefined();
  });
});

describe('a listener of WebSocket', () => {
  it.each(['onclose', 'onerror', 'onopen'])('throws instead of never being called: %s', (name) => {
    expect(() => (conn()[name] = h)).toThrow(`${name}: a Conn emits no events; await conn.closed`);
    expect(() => (live()[name] = h)).toThrow("write on('open', listener) or on('close', listener)");
  });
});
