import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as rival from 'ws';

const root = join(import.meta.dirname, '../..');
const lib = join(dirname(createRequire(import.meta.url).resolve('ws/package.json')), 'lib');

function page(name: string): (word: string) => boolean {
  const code = readFileSync(join(root, 'docs', name), 'utf8').match(/`[^`\n]+`/g) ?? [];
  const words = new Set(code.flatMap((text) => text.match(/[\w-]+/g) ?? []));
  return (word) => words.has(word);
}

function source(name: string): string {
  return readFileSync(join(lib, name), 'utf8');
}

function all(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1]!);
}

// The index of gorilla's documentation, with the fields of its structs and the additions of its
// main branch.
const GORILLA = {
  constants: `TextMessage BinaryMessage CloseMessage PingMessage PongMessage CloseNormalClosure CloseGoingAway
    CloseProtocolError CloseUnsupportedData CloseNoStatusReceived CloseAbnormalClosure CloseInvalidFramePayloadData
    ClosePolicyViolation CloseMessageTooBig CloseMandatoryExtension CloseInternalServerErr CloseServiceRestart
    CloseTryAgainLater CloseTLSHandshake`,
  variables: 'DefaultDialer ErrBadHandshake ErrCloseSent ErrReadLimit',
  functions: `FormatCloseMessage IsCloseError IsUnexpectedCloseError IsWebSocketUpgrade JoinMessages ReadJSON
    Subprotocols WriteJSON NewPreparedMessage NewClient Upgrade`,
  types:
    'BufferPool CloseError Code Text Error Conn Dialer HandshakeError PreparedMessage Upgrader',
  'methods of Conn': `Close CloseHandler EnableWriteCompression LocalAddr NetConn NextReader NextWriter PingHandler
    PongHandler ReadJSON ReadMessage RemoteAddr SetCloseHandler SetCompressionLevel SetPingHandler SetPongHandler
    SetReadDeadline SetReadLimit SetWriteDeadline Subprotocol UnderlyingConn WriteControl WriteJSON WriteMessage
    WritePreparedMessage`,
  'members of Dialer': `Dial DialContext NetDial NetDialContext NetDialTLSContext Proxy TLSClientConfig
    HandshakeTimeout ReadBufferSize WriteBufferSize WriteBufferPool Subprotocols EnableCompression Jar`,
  'members of Upgrader': `HandshakeTimeout ReadBufferSize WriteBufferSize WriteBufferPool Subprotocols Error
    CheckOrigin EnableCompression Upgrade`,
};

// The index of melody's documentation, with the fields of its structs.
const MELODY = {
  'methods of Melody': `New Broadcast BroadcastBinary BroadcastBinaryFilter BroadcastBinaryOthers BroadcastFilter
    BroadcastMultiple BroadcastOthers Close CloseWithMsg FormatCloseMessage HandleClose HandleConnect HandleDisconnect
    HandleError HandleMessage HandleMessageBinary HandlePong HandleRequest HandleRequestWithKeys HandleSentMessage
    HandleSentMessageBinary IsClosed Len Sessions Upgrader`,
  'members of Session': `Close CloseWithMsg Get IsClosed Keys LocalAddr MustGet RemoteAddr Request Set UnSet
    WebsocketConnection Write WriteBinary`,
  'members of Config': `ConcurrentMessageHandling MaxMessageSize MessageBufferSize PingPeriod PongWait WriteWait`,
  errors: 'ErrClosed ErrMessageBufferFull ErrSessionClosed ErrWriteClosed',
};

// The server API of socket.io's documentation.
const SOCKET_IO = {
  'members of Server': `adapter allSockets attach attachApp close compress disconnectSockets emit emitWithAck engine
    except fetchSockets in listen local of on path send serveClient serverSideEmit serverSideEmitWithAck sockets
    socketsJoin socketsLeave timeout to use volatile write`,
  'members of Socket': `broadcast client compress conn connected data disconnect emit emitWithAck except handshake id in
    join leave listenersAny listenersAnyOutgoing nsp offAny offAnyOutgoing on onAny onAnyOutgoing prependAny
    prependAnyOutgoing recovered request rooms send timeout to use volatile write`,
  events: `connection disconnect disconnecting create-room delete-room join-room leave-room`,
  options: `allowEIO3 allowRequest allowUpgrades cleanupEmptyChildNamespaces connectTimeout connectionStateRecovery cookie
    cors httpCompression maxHttpBufferSize parser path perMessageDeflate pingInterval pingTimeout serveClient transports
    upgradeTimeout wsEngine`,
};

describe.each([
  ['from-melody.md', MELODY],
  ['from-socket-io.md', SOCKET_IO],
])('docs/%s', (file, lists) => {
  const names = page(file);

  it.each(Object.entries(lists))('lists all %s', (_, list) => {
    expect(list.split(/\s+/).filter((name) => !names(name))).toEqual([]);
  });
});

describe('docs/from-gorilla.md', () => {
  const names = page('from-gorilla.md');

  it.each(Object.entries(GORILLA))('lists all %s', (_, list) => {
    expect(list.split(/\s+/).filter((name) => !names(name))).toEqual([]);
  });
});

describe('docs/from-ws.md', () => {
  const names = page('from-ws.md');
  const files = ['websocket.js', 'websocket-server.js', 'receiver.js', 'sender.js'].map(source);
  const members = (of: object): string[] =>
    Object.getOwnPropertyNames(of).filter(
      (name) =>
        !name.startsWith('_') && !['constructor', 'length', 'name', 'prototype'].includes(name),
    );

  it.each([
    ['exports', Object.keys(rival).filter((name) => name !== 'default')],
    ['members of WebSocket', [...members(rival.WebSocket), ...members(rival.WebSocket.prototype)]],
    ['members of WebSocketServer', members(rival.WebSocketServer.prototype)],
    ['options', files.flatMap((text) => all(text, /@param \{.*\} \[?options\.(\w+)/g))],
    ['events', files.flatMap((text) => all(text, /emit\(\s*'([\w-]+)'/g))],
    ['codes of errors', files.flatMap((text) => all(text, /'(WS_ERR_\w+)'/g))],
  ])('lists all %s', (_, found) => {
    expect(found.length).toBeGreaterThan(3);
    expect([...new Set(found)].filter((name) => !names(name))).toEqual([]);
  });
});

describe('the code of ws in docs/from-ws.md', () => {
  const text = readFileSync(join(root, 'docs/from-ws.md'), 'utf8');
  const [server, client, toAll, broken, onYours] = all(text, /^```js\n([^]*?)^```/gm);

  /** The server of the page, on 127.0.0.1. */
  class WebSocketServer extends rival.WebSocketServer {
    constructor(options: rival.ServerOptions) {
      super({ host: '127.0.0.1', ...options });
    }
  }

  /** Runs a block of the page with the names that it assumes. @returns The value of `result`. */
  function run(block: string | undefined, names: object, result = 'undefined'): unknown {
    const globals = { ...rival, WebSocketServer, console: { error: console.error }, ...names };
    return runInNewContext(`${block!.replace('8080', '0')};${result}`, globals);
  }

  /** Address of a server. Its test closes it. */
  async function listening(wss: WebSocketServer): Promise<string> {
    onTestFinished(() => {
      for (const each of wss.clients) each.terminate();
      wss.close();
    });
    if (wss.address() === null) await once(wss, 'listening');
    return `ws://127.0.0.1:${(wss.address() as AddressInfo).port}`;
  }

  it('echoes hello', async () => {
    const url = await listening(run(server, {}, 'wss') as WebSocketServer);
    const said = await new Promise((resolve) => {
      run(client!.replace('ws://127.0.0.1:8080', url), { console: { ...console, log: resolve } });
    });
    expect(said).toBe('hello');
  });

  it('broadcasts to all other clients', async () => {
    const wss = new WebSocketServer({ port: 0 });
    wss.on('connection', (ws) => {
      ws.on('message', (data, isBinary) => run(toAll, { wss, ws, data, isBinary }));
    });
    const url = await listening(wss);
    const [one, two] = [new rival.WebSocket(url), new rival.WebSocket(url)];
    await Promise.all([once(one, 'open'), once(two, 'open')]);
    const heard: string[] = [];
    one.on('message', (data: Buffer) => heard.push(`one ${data.toString()}`));
    two.on('message', (data: Buffer) => heard.push(`two ${data.toString()}`));
    one.send('of one');
    await once(two, 'message');
    two.send('of two');
    await once(one, 'message');
    expect(heard).toEqual(['two of one', 'one of two']);
  });

  it('terminates a broken connection', async () => {
    const wss = new WebSocketServer({ port: 0 });
    const ticks: (() => void)[] = [];
    run(broken, { wss, setInterval: (tick: () => void) => ticks.push(tick) });
    const url = await listening(wss);
    const well = new rival.WebSocket(url);
    await once(well, 'open');
    const [itsServer] = wss.clients;
    const silent = new rival.WebSocket(url, { autoPong: false });
    await once(silent, 'open');
    const [tick] = ticks;
    tick!();
    await once(itsServer!, 'pong');
    tick!();
    await once(silent, 'close');
    expect(well.readyState).toBe(rival.WebSocket.OPEN);
  });

  it('connects only authenticated clients', async () => {
    const http = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void http.close());
    await once(http, 'listening');
    const authenticate = (
      req: IncomingMessage,
      done: (error: unknown, user?: string) => void,
    ): void =>
      req.headers.authorization === undefined ? done(new Error('who?')) : done(null, 'ada');
    const wss = run(onYours, { http, authenticate }, 'wss') as WebSocketServer;
    const user = once(wss, 'connection').then(([, , name]) => name);
    const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const [error] = await once(new rival.WebSocket(url), 'error');
    expect(String(error)).toContain('401');
    const ws = new rival.WebSocket(url, { headers: { authorization: 'Bearer x' } });
    await once(ws, 'open');
    expect(await user).toBe('ada');
    ws.terminate();
  });
});
