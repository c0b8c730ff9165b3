import { dial, ReconnectingConn, reconnecting } from '@ws/node-client';
import { admit, refuse, route, serve } from '@ws/node-server';
import { describe } from 'vitest';
import { h, live, type Mistake, tells, type Untyped, url } from './tells.ts';

const MISTAKES: readonly Mistake[] = [
  [
    'serve(handler, options)',
    () => (serve as Untyped)(h, { port: 0 }),
    'serve: the options come first; write serve({ port: 8080 }, handler)',
  ],
  [
    'serve(port, handler)',
    () => (serve as Untyped)(0, h),
    'serve: expected an object of options, got number; write serve({ port: 0 }, handler)',
  ],
  [
    'serve(handler)',
    () => (serve as Untyped)(h),
    'serve: the options come first; write serve({ port: 8080 }, handler)',
  ],
  ['serve()', () => (serve as Untyped)(), 'serve: expected an object of options, got undefined'],
  [
    'serve({}, {})',
    () => (serve as Untyped)({ port: 0 }, {}),
    'routes: expected at least one path',
  ],
  [
    'serve({port:"x"})',
    () => serve({ port: 'x' } as Untyped, h),
    'port: expected a number, got string',
  ],
  [
    'serve({port:"0"})',
    () => serve({ port: '0' } as Untyped, h),
    'port: expected a number, got string',
  ],
  ['serve({port:70000})', () => serve({ port: 70000 }, h), 'port: expected 0 to 65535, got 70000'],
  ['dial()', () => (dial as Untyped)(), 'url: expected a string or a URL, got undefined'],
  [
    'dial(undefined)',
    () => (dial as Untyped)(undefined),
    'url: expected a string or a URL, got undefined',
  ],
  ['dial(8080)', () => (dial as Untyped)(8080), 'url: expected a string or a URL, got number'],
  ['dial({url})', () => (dial as Untyped)({ url }), 'url: expected a string or a URL, got object'],
  [
    'dial("localhost:8080")',
    () => dial('localhost:8080'),
    'malformed WebSocket URL: it has no scheme; write ws://localhost:8080',
  ],
  [
    'dial("ftp://a")',
    () => dial('ftp://a'),
    'malformed WebSocket URL: scheme "ftp" is not one of ws, wss, http, https, ws+unix, wss+unix',
  ],
  [
    'dial(url,"proto")',
    () => (dial as Untyped)(url, 'proto'),
    'dial: the second argument has the options; write { subprotocols: [...] } for subprotocols',
  ],
  [
    'dial(url,["p"])',
    () => (dial as Untyped)(url, ['p']),
    'dial: the second argument has the options; write { subprotocols: [...] } for subprotocols',
  ],
  [
    'dial(url,h)',
    () => (dial as Untyped)(url, h),
    'dial: expected an object of options, got function; a result is a promise: await it',
  ],
  [
    'dial("")',
    () => dial(''),
    'malformed WebSocket URL: it is empty; server.url is empty until the server listens',
  ],
  ['dial(ws://)', () => dial('ws://'), 'malformed WebSocket URL: it has no host'],
  [
    'dial({headers:array})',
    () => dial(url, { headers: 5 } as Untyped),
    'headers: expected an object or pairs, got number',
  ],
  [
    'dial({subprotocols:"a"})',
    () => dial(url, { subprotocols: 'a' } as Untyped),
    'subprotocols: expected an array of strings',
  ],
  [
    'dial({signal:controller})',
    () => dial(url, { signal: new AbortController() } as Untyped),
    'signal: expected an AbortSignal, got AbortController',
  ],
  [
    'dial({handshakeTimeout:"5s"})',
    () => dial(url, { handshakeTimeout: '5s' } as Untyped),
    'handshakeTimeout: expected a number, got string',
  ],
  [
    'dial({heartbeat:5})',
    () => dial(url, { heartbeat: 5 } as Untyped),
    'heartbeat: expected false or { interval, timeout }, got number',
  ],
  [
    'dial({heartbeat:"on"})',
    () => dial(url, { heartbeat: 'on' } as Untyped),
    'heartbeat: expected false or { interval, timeout }, got string',
  ],
  [
    'dial({readLimit:"1mb"})',
    () => dial(url, { readLimit: '1mb' } as Untyped),
    'readLimit: expected a number, got string',
  ],
  [
    'dial({readLimit:-1})',
    () => dial(url, { readLimit: -1 }),
    'readLimit: expected a whole number of 1 or more, got -1',
  ],
  [
    'dial({readLimit:0})',
    () => dial(url, { readLimit: 0 }),
    'readLimit: 0 is not a bound; use false for no bound',
  ],
  [
    'dial({compression:"yes"})',
    () => dial(url, { compression: 'yes' } as Untyped),
    `compression: expected true, false, 'shared', 'takeover' or an object, got "yes"`,
  ],
  [
    'new ReconnectingConn()',
    () => new (ReconnectingConn as Untyped)(),
    'url: expected a string or a URL, got undefined',
  ],
  [
    'live("x")',
    () => new ReconnectingConn('x'),
    'malformed WebSocket URL: it has no scheme; write ws://x',
  ],
  [
    'live({minDelay:"1s"})',
    () => new ReconnectingConn(url, { minDelay: '1s' } as Untyped),
    'minDelay: expected a number, got string',
  ],
  [
    'live({minDelay>max})',
    () => new ReconnectingConn(url, { minDelay: 5000, maxDelay: 10 }),
    'minDelay: 5000 is more than maxDelay, 10',
  ],
  [
    'live({retry:5})',
    () => new ReconnectingConn(url, { retry: 5 } as Untyped),
    'retry: expected a function, got number',
  ],
  [
    'live({retry:true})',
    () => new ReconnectingConn(url, { retry: true } as Untyped),
    'retry: expected a function, got boolean',
  ],
  [
    'live({report:console})',
    () => new ReconnectingConn(url, { report: console } as Untyped),
    'report: expected a function, got console',
  ],
  [
    'live({onOpen:{}})',
    () => new ReconnectingConn(url, { onOpen: {} } as Untyped),
    'onOpen: expected a function, got Object',
  ],
  [
    'live({resend:true})',
    () => new ReconnectingConn(url, { report: h, resend: true } as Untyped),
    'resend: expected an object of options, got boolean',
  ],
  [
    'live(dial promise)',
    () => new ReconnectingConn(Promise.resolve() as Untyped),
    'url: expected a string or a URL, got object',
  ],
  [
    'live.on(message)',
    () => live().on('message', h),
    "on: expected 'open' or 'close', got message; read with receive(handler) or for await, and await closed",
  ],
  ['live.on(open)', () => live().on('open'), 'on: expected a function, got undefined'],
  [
    'live.close({discard})',
    () => live().close({ discard: true }),
    'websocket: a close code is a number, got Object; the reason is the second argument',
  ],
  [
    'live.close("bye")',
    () => live().close('bye'),
    'websocket: a close code is a number, got string; the reason is the second argument',
  ],
  ['live.send()', () => live().send(), 'send: expected a string or bytes, got undefined'],
  [
    'live.send({})',
    () => live().send({}),
    'send: expected a string or bytes, got Object; writeJSON sends objects, and options come after the data',
  ],
  ['live.send(5)', () => live().send(5), 'send: expected a string or bytes, got number'],
  ['live.receive()', () => live().receive(), 'receive: expected a function, got undefined'],
  [
    'reconnecting(url,o)',
    () => (reconnecting as Untyped)(url, { handler: h }),
    'reconnecting: unknown option handler; the handler is a separate argument, after the options',
  ],
  [
    'reconnecting()',
    () => (reconnecting as Untyped)(),
    'url: expected a string or a URL, got undefined',
  ],
  [
    'admit()',
    () => (admit as Untyped)(),
    'admit: expected a text, a number or an object, got undefined; return false to refuse, true to admit without da',
  ],
  [
    'admit(null)',
    () => (admit as Untyped)(null),
    'admit: expected a text, a number or an object, got null; return false to refuse, true to admit without data',
  ],
  [
    'admit(true)',
    () => admit(true as Untyped),
    'admit: expected a text, a number or an object, got true; return false to refuse, true to admit without data',
  ],
  [
    'admit(promise)',
    () => admit(Promise.resolve({ a: 1 }) as Untyped),
    'admit: expected data, got a promise; await it first',
  ],
  [
    'admit({},{expires})',
    () => admit({ user: 'a' }, { expires: 5 } as Untyped),
    'expires: expected ms since 1970, got 5; pass Date.now() + ms, or exp * 1000 of a JWT',
  ],
  [
    'admit({exp})',
    () => admit({ user: 'a' }, { expiresAt: 'tomorrow' } as Untyped),
    'admit: unknown option expiresAt; known options: expires',
  ],
  [
    'admit(u,{expires sec})',
    () => admit({ user: 'a' }, { expires: 1764520000 } as Untyped),
    'expires: expected ms since 1970, got 1764520000; pass Date.now() + ms, or exp * 1000 of a JWT',
  ],
  [
    'admit(a,b)',
    () => (admit as Untyped)({ user: 'a' }, 'b'),
    'admit: expected an object of options, got string',
  ],
  [
    'refuse(401,5)',
    () => (refuse as Untyped)(401, 5),
    'refuse: expected an object of options, got number',
  ],
  ['route()', () => (route as Untyped)(), 'route: expected an object of options, got undefined'],
  [
    'route(h)',
    () => (route as Untyped)(h),
    'route: the options come first; write route({ authenticate }, handler)',
  ],
  [
    'route(h,{})',
    () => (route as Untyped)(h, {}),
    'route: the options come first; write route({ authenticate }, handler)',
  ],
  [
    'route("/a",h)',
    () => (route as Untyped)('/a', h),
    'route: expected an object of options, got string',
  ],
];

describe('a mistake with a server or a client', () => tells(MISTAKES));
