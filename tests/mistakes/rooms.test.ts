import { Hub } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { contract, event, method, RpcError, stream } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { describe } from 'vitest';
import { z } from 'zod';
import { conn, h, live, type Mistake, tells, type Untyped, url } from './tells.ts';

function hub(): Untyped {
  const made = new Hub();
  made.on('error', h);
  return made;
}

const session = (): Untyped => hub().add(conn());
const rooms = (): Untyped => roomsOf(live());
const api = (): Untyped => contract({ server: { a: method(z.string(), z.string()) } });

const MISTAKES: readonly Mistake[] = [
  [
    'send(blob)',
    () => conn().send(new Blob(['x'])),
    'send: expected a string or bytes, got Blob; send await blob.arrayBuffer(), or pipe blob.stream()',
  ],
  [
    'readMessage({signal:c})',
    () => conn().readMessage({ signal: new AbortController() }),
    'signal: expected an AbortSignal, got AbortController',
  ],
  [
    'nextWriter()',
    () => conn().nextWriter(),
    'websocket: bad write message type: undefined; use TextMessage or BinaryMessage, or send(data)',
  ],
  [
    'new Hub("x")',
    () => new (Hub as Untyped)('x'),
    'new Hub: expected an object of options, got string',
  ],
  [
    'new Hub(h)',
    () => new (Hub as Untyped)(h),
    'new Hub: expected an object of options, got function; a result is a promise: await it',
  ],
  [
    'hub.on(connection)',
    () => hub().on('connection', h),
    'hub.on: expected one of connect, disconnect, message, sent, pong, close, error, overflow, gap, entered, left, ',
  ],
  ['hub.on(connect)', () => hub().on('connect'), 'hub.on: expected a function, got undefined'],
  [
    'hub.on(message,{},h)',
    () => hub().on('message', {}, h),
    'hub.on: it takes no schema and no further argument; check the value in your handler',
  ],
  ['hub.room()', () => hub().room(), 'room: expected a string, got undefined'],
  ['hub.room(5)', () => hub().room(5), 'room: expected a string, got number'],
  ['hub.room("")', () => new Hub().room(''), 'room: expected 1 to 256 bytes, got 0'],
  ['hub.add()', () => hub().add(), 'hub.add: expected a Conn, got undefined'],
  ['hub.add({})', () => hub().add({}), 'hub.add: expected a Conn, got Object'],
  [
    'hub.broadcast()',
    () => hub().broadcast(),
    'hub.broadcast: expected a string or bytes, got undefined',
  ],
  [
    'hub.broadcast({})',
    () => hub().broadcast({}),
    'hub.broadcast: expected a string or bytes, got Object; JSON.stringify makes a string of it',
  ],
  [
    'hub.broadcast("event",{})',
    () => hub().broadcast('event', { a: 1 }),
    'hub.broadcast: unknown option a; known options: except, filter, local',
  ],
  [
    'room.publish()',
    () => hub().room('a').publish(),
    'publish: expected a string or bytes, got undefined',
  ],
  [
    'room.publish({})',
    () => hub().room('a').publish({ a: 1 }),
    'publish: expected a string or bytes, got Object; publishJSON sends objects',
  ],
  [
    'room.publish(x,session)',
    () => hub().room('a').publish('x', new Hub().add(conn())),
    'publish: unknown option id; known options: except, filter, local, key',
  ],
  [
    'room.publish(ev,x)',
    () => hub().room('a').publish('ev', { a: 1 }),
    'publish: unknown option a; known options: except, filter, local, key',
  ],
  [
    'room.publish(x,{exclude})',
    () => hub().room('a').publish('x', { exclude: {} }),
    'publish: unknown option exclude; known options: except, filter, local, key',
  ],
  [
    'room.publishJSON()',
    () => hub().room('a').publishJSON(),
    'websocket: undefined cannot be written as JSON',
  ],
  [
    'room.publishJSON(Map)',
    () =>
      hub()
        .room('a')
        .publishJSON(new Map([[1, 2]])),
    'expected a value that JSON has, got a Map',
  ],
  ['session.join()', () => session().join(), 'room: expected a string, got undefined'],
  ['session.join(["a"])', () => session().join(['a']), 'room: expected a string, got Array'],
  [
    'session.join("a","b")',
    () => session().join('a', 'b'),
    'session.join: expected an object of options, got string',
  ],
  [
    'session.join(room)',
    () => session().join(new Hub().room('a')),
    'room: expected a string, got Object',
  ],
  [
    'session.send()',
    () => session().send(),
    'session.send: expected a string or bytes, got undefined',
  ],
  [
    'session.send({})',
    () => session().send({}),
    'session.send: expected a string or bytes, got Object; writeJSON sends objects',
  ],
  [
    'hub.close(5)',
    () => hub().close(5),
    'hub.close: expected an object of options, got number; write { timeout: 5 }',
  ],
  [
    'hub.close(h)',
    () => hub().close(h),
    'hub.close: expected an object of options, got function; a result is a promise: await it',
  ],
  ['hub.sockets', () => hub().sockets, 'hub.sockets: write hub.sessions'],
  [
    'serveRooms()',
    () => (serveRooms as Untyped)(),
    'serveRooms: expected an object of rooms, got undefined',
  ],
  [
    'serveRooms("chat/*")',
    () => (serveRooms as Untyped)('chat/*'),
    'serveRooms: expected an object of rooms, got string',
  ],
  [
    'table key **',
    () => serveRooms({ '**': { mayJoin: true } }),
    'rooms: expected a name or a prefix with one * at its end, got "**"',
  ],
  [
    'table value true',
    () => serveRooms({ 'chat/*': true } as Untyped),
    'rooms["chat/*"]: expected an object of options, got boolean',
  ],
  [
    'table value fn',
    () => serveRooms({ 'chat/*': h } as Untyped),
    'rooms["chat/*"]: expected an object of options, got function; a result is a promise: await it',
  ],
  [
    'mayJoin:"yes"',
    () => serveRooms({ 'chat/*': { mayJoin: 'yes' } } as Untyped),
    'rooms["chat/*"].mayJoin: expected a boolean or a function, got string',
  ],
  [
    'mayJoin:1',
    () => serveRooms({ 'chat/*': { mayJoin: 1 } } as Untyped),
    'rooms["chat/*"].mayJoin: expected a boolean or a function, got number',
  ],
  [
    'mayJoin:["a"]',
    () => serveRooms({ 'chat/*': { mayJoin: ['a'] } } as Untyped),
    'rooms["chat/*"].mayJoin: expected a boolean or a function, got Array',
  ],
  [
    'history:10',
    () => serveRooms({ 'chat/*': { history: 10 } } as Untyped),
    'rooms["chat/*"]: say who may join; mayJoin: true lets everyone',
  ],
  [
    'history:{limit}',
    () => serveRooms({ 'chat/*': { history: { limit: 5 } } } as Untyped),
    'rooms["chat/*"]: say who may join; mayJoin: true lets everyone',
  ],
  [
    'history:{size:"5"}',
    () => serveRooms({ 'chat/*': { history: { size: '5' } } } as Untyped),
    'rooms["chat/*"]: say who may join; mayJoin: true lets everyone',
  ],
  [
    'history:{ttl:"1h"}',
    () => serveRooms({ 'chat/*': { history: { ttl: '1h' } } } as Untyped),
    'rooms["chat/*"]: say who may join; mayJoin: true lets everyone',
  ],
  [
    'state:{}',
    () => serveRooms({ 'chat/*': { history: true, state: {} } } as Untyped),
    'rooms["chat/*"]: say who may join; mayJoin: true lets everyone',
  ],
  [
    'stamp:{}',
    () => serveRooms({ 'chat/*': { stamp: {} } } as Untyped),
    'rooms["chat/*"]: say who may join; mayJoin: true lets everyone',
  ],
  [
    'schema: fn',
    () => serveRooms({ 'chat/*': { schema: h } } as Untyped),
    'rooms["chat/*"].schema: expected a Standard Schema (zod, valibot, ...), got function',
  ],
  [
    'schema: {}',
    () => serveRooms({ 'chat/*': { schema: {} } } as Untyped),
    'rooms["chat/*"].schema: expected a Standard Schema (zod, valibot, ...), got Object',
  ],
  [
    'presence:"x"',
    () => serveRooms({ 'chat/*': { presence: 'x' } } as Untyped),
    'rooms["chat/*"]: say who may join; mayJoin: true lets everyone',
  ],
  [
    'contract()',
    () => (contract as Untyped)(),
    'contract: expected an object of options, got undefined',
  ],
  [
    'contract({add})',
    () => contract({ add: method(z.string(), z.string()) } as Untyped),
    'contract: unknown option add; known options: server, client',
  ],
  [
    'contract(server)',
    () => contract({ server: { a: z.string() } } as Untyped),
    'contract: server.a: expected method(…), event(…) or stream(…), got Object',
  ],
  [
    'contract fn',
    () => contract({ server: { a: h } } as Untyped),
    'contract: server.a: expected method(…), event(…) or stream(…), got function',
  ],
  [
    'method()',
    () => (method as Untyped)(),
    'method: input: expected a Standard Schema (zod, valibot, ...), got undefined',
  ],
  [
    'method({input})',
    () => (method as Untyped)({ input: z.string() }),
    'method: input: expected a Standard Schema (zod, valibot, ...), got Object',
  ],
  [
    'method(z)',
    () => (method as Untyped)(z.string()),
    'method: output: expected a Standard Schema (zod, valibot, ...), got undefined',
  ],
  [
    'event()',
    () => (event as Untyped)(),
    'event: input: expected a Standard Schema (zod, valibot, ...), got undefined',
  ],
  [
    'stream(z)',
    () => (stream as Untyped)(z.string()),
    'stream: item: expected a Standard Schema (zod, valibot, ...), got undefined',
  ],
  [
    'serve no handlers',
    () => api().serve(),
    'serve: expected an object of handlers, got undefined',
  ],
  ['serve {}', () => api().serve({}), 'serve: a: expected a function, got undefined'],
  ['serve extra', () => api().serve({ a: h, b: h }), 'serve: the contract has no b at this end'],
  ['serve nonfn', () => api().serve({ a: 5 }), 'serve: a: expected a function, got number'],
  [
    'serve(conn,h)',
    () => api().serve(conn(), { a: h }),
    'serve: expected handlers, got a Conn; pass chat.serve(handlers), not chat.serve',
  ],
  ['connect()', () => api().connect(), 'connect: expected an object of handlers, got undefined'],
  [
    'connect(url)',
    () => api().connect(url),
    'connect: expected an object of handlers, got undefined',
  ],
  [
    'connect({}conn)',
    () => api().connect({}, conn()),
    'connect: expected a Conn or a ReconnectingConn, got Object',
  ],
  [
    'RpcError("x")',
    () => new (RpcError as Untyped)('x'),
    'RpcError(code, message): code: expected a number, got string',
  ],
  [
    'RpcError(msg,code)',
    () => new (RpcError as Untyped)('x', 5),
    'RpcError(code, message): code: expected a number, got string',
  ],
  [
    'RpcError(1.5)',
    () => new RpcError(1.5, 'x'),
    'RpcError(code, message): code: expected a whole number of -9007199254740991 or more, got 1.5',
  ],
  [
    'RpcError({code})',
    () => new (RpcError as Untyped)({ code: 5 }),
    'RpcError(code, message): code: expected a number, got Object',
  ],
  [
    'roomsOf()',
    () => (roomsOf as Untyped)(),
    'roomsOf: expected a ReconnectingConn, got undefined',
  ],
  [
    'roomsOf(url)',
    () => (roomsOf as Untyped)(url),
    'roomsOf: expected a ReconnectingConn, got string',
  ],
  [
    'roomsOf(dial())',
    () => (roomsOf as Untyped)(Promise.resolve()),
    'roomsOf: expected a ReconnectingConn, got Promise',
  ],
  [
    'roomsOf(hub)',
    () => (roomsOf as Untyped)(new Hub()),
    'roomsOf: expected a ReconnectingConn, got Object',
  ],
  ['join()', () => rooms().join(), 'join: expected a string, got undefined'],
  ['join(5)', () => rooms().join(5), 'join: expected a string, got number'],
  [
    'join(a,h)',
    () => rooms().join('a', h),
    'join: expected an object of options, got function; a result is a promise: await it',
  ],
  [
    'join(a,{limit})',
    () => rooms().join('a', { limit: 5 }),
    'join: unknown option limit; known options: since, last',
  ],
  [
    'join(a,{last:"5"})',
    () => rooms().join('a', { last: '5' }),
    'last: expected a number, got string',
  ],
  ['join(a,5)', () => rooms().join('a', 5), 'join: expected an object of options, got number'],
  ['join(["a"])', () => rooms().join(['a']), 'join: expected a string, got Array'],
  ['publish(a)', () => rooms().publish('a'), 'websocket: undefined cannot be written as JSON'],
  ['publish()', () => rooms().publish(), 'publish: expected a string, got undefined'],
  ['publish({})', () => rooms().publish({ a: 1 }), 'publish: expected a string, got Object'],
  [
    'publish(a,x,{to})',
    () => rooms().publish('a', 1, { to: 'x' }),
    'publish: unknown option to; known options: id, signal, timeout',
  ],
  [
    'publish(a,x,cb)',
    () => rooms().publish('a', 1, h),
    'publish: expected an object of options, got function; a result is a promise: await it',
  ],
  [
    'subscribe',
    () => rooms().subscribe('a', h),
    'rooms.subscribe: write for await (const item of rooms.join(room))',
  ],
  [
    'on(a,h)',
    () => rooms().on('a', h),
    "on: expected 'members', got a; read messages by for await (const item of rooms.join(room))",
  ],
  ['on(members)', () => rooms().on('members'), 'on: expected a function, got undefined'],
  ['rooms.once', () => rooms().once('members', h), 'rooms.once: write on(event, listener)'],
  [
    'rooms.unsubscribe',
    () => rooms().unsubscribe('a'),
    'rooms.unsubscribe: end its loop, by break or return()',
  ],
];

describe('a mistake with rooms or a contract', () => tells(MISTAKES));
