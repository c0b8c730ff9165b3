/** Programs with one mistake each, and what the compiler says of it. They follow {@link PRELUDE}. */
export const PRELUDE = `
import type { ConnLike } from '@ws/conn';
import type { ReconnectingConn } from '@ws/reconnect';
import type { Session } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { contract, event, method, RpcError, stream } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { z } from 'zod';
declare const conn: ConnLike;
declare const session: { readonly conn: ConnLike; readonly data: { user: string }; send(data: string): boolean };
export const chat = contract({
  server: {
    say: method(z.object({ text: z.string() }), z.object({ at: z.number() })),
    count: method(z.string().transform(Number), z.number()),
    typing: event(z.object({ room: z.string() })),
  },
  client: {
    said: event(z.object({ text: z.string() })),
    confirm: method(z.object({ question: z.string() }), z.boolean()),
  },
});
export const agent = contract({
  server: {
    ask: stream(
      z.object({ text: z.string(), model: z.string().default('m') }),
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('text'), text: z.string() }),
        z.object({ kind: z.literal('tool'), name: z.string() }),
      ]),
    ),
    ticks: stream(z.undefined(), z.string().transform(Number)),
  },
  client: { screen: stream(z.object({ fps: z.number() }), z.string()) },
});
declare const textStream: AsyncIterable<string> & ReadableStream<string>;
async function* ticks() { yield '1'; }
async function* ask() { yield { kind: 'text' as const, text: '' }; }
const screen = { screen: () => textStream };
const say = () => ({ at: 1 });
const count = () => 1;
const typing = () => {};
const client = { said: () => {}, confirm: () => true };
declare const live: ReconnectingConn;
const schemas = { 'chat/*': z.object({ text: z.string() }), count: z.string().transform(Number) };
export const rooms = roomsOf(live, { contract: chat, handlers: client, schemas });
interface User { readonly teams: readonly string[] }
void [RpcError, ask, ticks, screen, serveRooms, conn, session, say, count, typing, client];
`;

/** A correct program: it must compile. */
export const CORRECT = `
const peer = chat.connect(conn, client);
const { at } = await peer.say({ text: 'a' }, { timeout: 5, signal: new AbortController().signal });
const n: number = at + (await peer.count('3'));
await peer.typing({ room: 'r' });
chat.serve<{ user: string }>({
  say: ({ text }, { auth, peer, signal }) => { void peer.said({ text: text + auth.user + String(signal.aborted) }); return { at: n }; },
  count: (number) => number + 1,
  typing: ({ room }) => room,
});
chat.listener<typeof session>({ say: (_, { session, auth }) => ({ at: session.data.user.length + auth.user.length }), count, typing });
const yes: boolean = await chat.peer(session).confirm({ question: '' });
const text: string = chat.client.said.encode({ text: 'a' });
const more = contract({ server: { more: method(z.undefined(), z.number()) } }, chat);
more.serve({ say, count, typing, more: () => 1 });
const both: number = await more.connect(conn, client).more();
void [yes, text, both];
interface Tree { readonly at: string; readonly children: readonly Tree[] }
const tree: z.ZodType<Tree> = z.object({ at: z.string(), children: z.lazy(() => z.array(tree)) });
method(z.undefined(), tree);
method(z.any(), z.unknown());
method(z.json(), z.object({ any: z.any(), list: z.array(z.unknown()) }));
method(z.coerce.date(), z.iso.datetime().transform((text) => new Date(text)));
event(z.string().transform((text) => new Map([[text, 1]])));
await more.connect(conn, client).more(undefined, { timeout: 5 });
for await (const m of rooms.join('chat/main', { since: { epoch: '', offset: 0 } })) {
  const said: string | undefined = m.kind === 'gap' ? m.position?.epoch : m.kind === 'message' ? m.data.text + String(m.id) : m.kind;
  void said;
}
for await (const m of rooms.join('count')) if (m.kind === 'message') m.data.toFixed();
for await (const m of rooms.join('other')) { const data: unknown = m.kind === 'message' || m.kind === 'state' ? m.data : m.kind; void data; }
await rooms.publish('chat/main', { text: 'a' }, { timeout: false });
await rooms.publish('count', '3');
await rooms.peer.say({ text: 'a' });
rooms.on('members', (room, { joined }) => room.length + joined.size);
const more2: number = rooms.members('chat/main').count;
const server = serveRooms(
  { 'chat/*': { schema: z.string(), history: true, mayJoin: (session: Session<User>, room) => session.data.teams.includes(room), mayPublish: async () => true, presence: ({ data }) => ({ team: data.teams[0] ?? '' }) } },
  { contract: chat, handlers: { say: (_, { session, auth }) => ({ at: session.data.teams.length + auth.teams.length }), count, typing } },
);
server.hub.on('connect', (session) => void server.peer(session).said({ text: session.data.teams.join() }));
server.hub.on('presence', (_, { joined }) => { for (const { info } of joined.values()) info.team.trim(); });
agent.serve<{ user: string }>({
  async *ask({ text, model }, { signal, peer, auth }) {
    yield { kind: 'text', text: text + model + auth.user };
    for await (const frame of peer.screen({ fps: 1 }, { signal })) { yield { kind: 'tool', name: frame }; break; }
  },
  ticks: () => textStream,
});
agent.listener<typeof session>({ ask: (_, { session }) => { void session.data.user; return ask(); }, ticks });
const asked = agent.connect(conn, { async *screen({ fps }) { yield String(fps); } });
for await (const part of asked.ask({ text: 'a' }, { signal: new AbortController().signal, timeout: 60_000 })) {
  const shown: string = part.kind === 'text' ? part.text : part.name;
  void shown;
}
for await (const tick of asked.ticks()) tick.toFixed();
const steps: AsyncIterableIterator<number> = asked.ticks(undefined, { timeout: false });
const framed: AsyncIterableIterator<string> = agent.peer(session).screen({ fps: 1 });
const streamed = roomsOf(live, { contract: agent, handlers: screen, streams: 4 });
for await (const tick of streamed.peer.ticks()) tick.toFixed();
serveRooms({}, { contract: agent, handlers: { ask, ticks }, streams: 4 });
void [steps, framed, agent.server.ask.kind === 'stream', agent.client.screen.name];
void [more2, roomsOf(live), serveRooms({ r: { mayJoin: true } }).handler];
`;

/** Schemas of zod for values that JSON does not carry. */
const NO_JSON: readonly (readonly [schema: string, type: string])[] = [
  ['z.date()', 'Date'],
  ['z.bigint()', 'bigint'],
  ['z.map(z.string(), z.number())', 'Map'],
  ['z.set(z.string())', 'Set'],
  ['z.instanceof(RegExp)', 'RegExp'],
  ['z.custom<() => void>()', '=> void'],
  ['z.symbol()', 'symbol'],
  ['z.instanceof(Uint8Array)', 'Uint8Array'],
];

type Mistake = readonly [title: string, code: string, message: RegExp];

/** Of each mistake its title, its code, and a pattern of what the compiler says. */
const PROGRAMS = String.raw`
an answer with a Date beside keys that are unknown
  method(z.undefined(), z.object({ a: z.array(z.looseObject({ at: z.date() })) }));
  -> JSON has no.*Date
an answer that is a class
  method(z.undefined(), z.custom<abstract new () => object>());
  -> JSON has no.*new \(\) => object
an answer that becomes a Map
  method(z.undefined(), z.string().transform((text) => new Map([[text, 1]])));
  -> JSON has no.*Map
a missing handler
  chat.serve({ say, count });
  -> Property 'typing' is missing in type
a missing handler of a client
  chat.connect(conn, { said: () => {} });
  -> Property 'confirm' is missing in type
a missing handler of a hub
  chat.listener({ say, typing });
  -> Property 'count' is missing in type
a contract of rooms without handlers
  serveRooms({}, { contract: chat });
  -> Property 'handlers' is missing in type
a contract of a client of rooms without handlers
  roomsOf(live, { contract: chat });
  -> Property 'handlers' is missing in type
a missing handler of a client of rooms
  roomsOf(live, { contract: chat, handlers: { said: () => {} } });
  -> Property 'confirm' is missing in type
info of another type
  const infos = roomsOf(live, { schemas: { 'chat/*': { info: z.object({ name: z.string() }) } } }); for (const { info } of infos.members('chat/a').values()) info.nme;
  -> Property 'nme' does not exist on type '\{ name: string; \}'
an event of another type in a room
  await serveRooms({}, { contract: chat, handlers: { say, count, typing } }).emit('r', chat.client.said, { text: 1 });
  -> Type 'number' is not assignable to type 'string'
a handler of no method
  chat.serve({ say, count, typing, sya: say });
  -> 'sya' does not exist in type 'Handlers<
a handler of the other end
  chat.connect(conn, { ...client, say });
  -> 'say' does not exist in type 'Handlers<
an answer of another type
  chat.serve({ say: () => ({ at: 'now' }), count, typing });
  -> Type 'string' is not assignable to type 'number'
an answer without a key
  chat.serve({ say: () => ({}), count, typing });
  -> Type '\{\}' is not assignable to type '(?:PromiseLike<)?\{ at: number; \}
no answer
  chat.serve({ say: () => {}, count, typing });
  -> Type 'void' is not assignable to type '(?:PromiseLike<)?\{ at: number; \}
a promise of another answer
  chat.serve({ say: async () => 1, count, typing });
  -> Type 'Promise<number>' is not assignable to type '(?:PromiseLike<)?\{ at: number; \}
an input of another type
  await chat.connect(conn, client).say({ text: 1 });
  -> Type 'number' is not assignable to type 'string'
an input without a key
  await chat.connect(conn, client).say({});
  -> Property 'text' is missing in type '\{\}'
an input with another key
  await chat.connect(conn, client).say({ text: '', to: 1 });
  -> 'to' does not exist in type '\{ text: string; \}'
no input
  await chat.connect(conn, client).say();
  -> Expected 1-2 arguments, but got 0
the output of a schema as its input
  await chat.connect(conn, client).count(3);
  -> Argument of type 'number' is not assignable to parameter of type 'string'
a key that an input does not have
  chat.serve({ say: ({ to }) => ({ at: to }), count, typing });
  -> Property 'to' does not exist on type '\{ text: string; \}'
a key that an answer does not have
  (await chat.connect(conn, client).say({ text: '' })).on;
  -> Property 'on' does not exist on type '\{ at: number; \}'
a call of a method of this end
  await chat.connect(conn, client).confirm({ question: '' });
  -> Property 'confirm' does not exist on type 'Peer<
a call of a method of the other end
  await chat.peer(session).say({ text: '' });
  -> Property 'say' does not exist on type 'Peer<
a call of an unknown method
  await chat.peer(session).nothing();
  -> Property 'nothing' does not exist on type 'Peer<
an answer to an event
  const x: number = await chat.peer(session).said({ text: '' }); void x;
  -> Type 'void' is not assignable to type 'number'
an event of another type
  chat.client.said.encode({ text: 1 });
  -> Type 'number' is not assignable to type 'string'
encode of a method
  chat.client.confirm.encode({ question: '' });
  -> Property 'encode' does not exist on type 'MethodDefinition<
an option that a call does not have
  await chat.connect(conn, client).say({ text: '' }, { timeOut: 1 });
  -> 'timeOut' does not exist in type 'CallOptions'. Did you mean to write 'timeout'
a timeout that is no number
  await chat.connect(conn, client).say({ text: '' }, { timeout: '1 s' });
  -> Type 'string' is not assignable to type 'number \| false \| undefined'
auth of another type
  chat.serve<{ user: string }>({ say: (_, { auth }) => ({ at: auth.age }), count, typing });
  -> Property 'age' does not exist on type '\{ user: string; \}'
a session in serve
  chat.serve({ say: (_, { session }) => ({ at: session.x }), count, typing });
  -> Property 'session' does not exist on type 'ServerHandlerContext<
a definition that is none
  contract({ server: { a: z.string() } });
  -> Type 'ZodString' is not assignable to type '(?:Event<any> \| )?Method<any, any>
a schema that is none
  method(z.string(), Number);
  -> '~standard'' is missing in type 'NumberConstructor'
a connection that is none
  chat.connect({}, client);
  -> Argument of type '\{\}' is not assignable to parameter of type '(?:ConnLike|ReconnectingConnLike) 
an error without a code
  throw new RpcError('not found');
  -> Expected 2-3 arguments, but got 1
the handlers of the other end
  chat.serve(client);
  -> missing the following properties from type 'Handlers<.*: say, count, typing
a contract of other names
  chat.peer(session) satisfies ReturnType<typeof chat.connect>;
  -> missing the following properties from type 'Peer<.*: say, count, typing
a merge with what is no contract
  contract({ server: {} }, { server: {}, client: {} });
  -> missing the following properties from type 'Contract<
a promise for a stream
  agent.serve({ ask, ticks: async () => ['1'] });
  -> asyncIterator\]' is missing in type
an item of another type
  agent.serve({ ask, async *ticks() { yield 1; } });
  -> number
an item of no kind
  agent.serve({ async *ask() { yield { kind: 'other', text: '' }; }, ticks });
  -> other
a missing generator
  agent.serve({ ask });
  -> Property 'ticks' is missing in type
a missing generator of a client
  agent.connect(conn, {});
  -> Property 'screen' is missing in type
an item read as another type
  for await (const tick of agent.connect(conn, screen).ticks()) { const text: string = tick; void text; }
  -> Type 'number' is not assignable to type 'string'
a stream that is awaited
  const text: number = await agent.connect(conn, screen).ticks(); void text;
  -> AsyncIterableIterator<number
an input of a stream of another type
  agent.connect(conn, screen).ask({ text: 1 });
  -> Type 'number' is not assignable to type 'string'
no input of a stream
  agent.connect(conn, screen).ask();
  -> Expected 1-2 arguments, but got 0
an item that JSON does not have
  stream(z.undefined(), z.object({ at: z.date() }));
  -> JSON has no.*Date
an input that JSON does not have
  stream(z.bigint(), z.string());
  -> JSON has no.*bigint
a stream with retry
  stream(z.undefined(), z.string(), { retry: true });
  -> is not assignable to parameter of type 'never'
encode of a stream
  agent.server.ask.encode({ text: '' });
  -> Property 'encode' does not exist
data of a room of another type
  await rooms.publish('chat/main', { text: 1 });
  -> string
the output of a schema as the data of a room
  await rooms.publish('count', 3);
  -> string
a key that the data of a room does not have
  for await (const m of rooms.join('chat/main')) if (m.kind === 'message') m.data.to;
  -> to
data of a gap
  for await (const m of rooms.join('chat/main')) m.data;
  -> data
data of a room without a schema
  for await (const m of rooms.join('x')) if (m.kind === 'message') m.data.text;
  -> unknown
an option that a join does not have
  rooms.join('chat/main', { limit: 1 });
  -> limit
a position that is none
  rooms.join('chat/main', { since: 7 });
  -> Position
a method of rooms that is not yours
  await rooms.peer['room.join']({ room: '' });
  -> room.join
a room without mayJoin
  serveRooms({ r: {} });
  -> mayJoin
mayJoin that is no boolean
  serveRooms({ r: { mayJoin: 'all' } });
  -> mayJoin|May|string
form of a room
  serveRooms({ r: { mayJoin: true, form: () => '' } });
  -> form
hub.rooms
  serveRooms({}, { hub: { rooms: {} } });
  -> rooms
handlers that lack one
  serveRooms({}, { contract: chat, handlers: { say, count } });
  -> typing
data of a session of another type
  serveRooms({ r: { mayJoin: (session: Session<User>) => session.data.age } });
  -> age
`;

export const MISTAKES: readonly Mistake[] = [
  ...NO_JSON.flatMap(([schema, type]) => {
    const deep = `z.object({ a: z.array(z.object({ b: z.union([z.string(), ${schema}]).optional() })) })`;
    const said = new RegExp(`JSON has no.*${type}`);
    return [
      [`an answer ${schema}`, `method(z.undefined(), ${schema});`, said],
      [`an answer with ${schema} in it`, `method(z.undefined(), ${deep});`, said],
      [`an input ${schema}`, `method(${schema}, z.undefined());`, said],
      [`an input of an event with ${schema} in it`, `event(${deep});`, said],
    ] as const;
  }),
  ...Array.from(
    PROGRAMS.matchAll(/^(\w.*)\n  (.*)\n  -> (.*)$/gm),
    ([, title, code, message]): Mistake => [title!, code!, new RegExp(message!, 's')],
  ),
];
