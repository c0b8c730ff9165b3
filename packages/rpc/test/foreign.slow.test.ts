// Other libraries of JSON-RPC at one end, a contract at the other.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Client as McpClient } from '@modelcontextprotocol/sdk/client/index.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import { dial } from '@ws/node-client';
import { type RunningServer, serve } from '@ws/node-server';
import { contract, event, method, RpcError } from '@ws/rpc';
import { JSONRPCClient, JSONRPCServer, JSONRPCServerAndClient } from 'json-rpc-2.0';
import { Client as RpcClient, Server as RpcServer } from 'rpc-websockets';
import { afterEach, describe, expect, it } from 'vitest';
import { CancellationTokenSource } from 'vscode-jsonrpc';
import { createWebSocketConnection, toSocket } from 'vscode-ws-jsonrpc';
import { WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { throws, until } from './pairs.ts';

const say = method(z.object({ text: z.string() }), z.string());
const calculator = contract({
  server: { say, fail: method(z.undefined(), z.string()), typing: event(z.object({})) },
  client: { say },
});

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** A server of ours. */
async function ours(
  more: Partial<Parameters<typeof calculator.serve>[0]> = {},
): Promise<RunningServer> {
  const server = await serve(
    { host: '127.0.0.1' },
    calculator.serve({
      say: ({ text }) => `said ${text}`,
      fail: throws(new RpcError(7, 'no', { why: 'seven' })),
      typing: () => {},
      ...more,
    }),
  );
  endings.push(() => server.close({ timeout: 1 }));
  return server;
}

/** A server of `ws`. Returns its URL. */
async function theirs(use: (socket: WebSocket) => void): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', use);
  await once(server, 'listening');
  endings.push(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  await once(socket, 'open');
  endings.push(() => socket.terminate());
  return socket;
}

/** A peer of json-rpc-2.0 on a socket. */
function peerOf(socket: WebSocket): JSONRPCServerAndClient {
  const peer = new JSONRPCServerAndClient(
    new JSONRPCServer(),
    new JSONRPCClient((request) => socket.send(JSON.stringify(request))),
  );
  peer.addMethod('say', ({ text }: { text: string }) => `theirs ${text}`);
  socket.on('message', (data) => void peer.receiveAndSend(JSON.parse((data as Buffer).toString())));
  return peer;
}

describe('json-rpc-2.0', () => {
  it('calls a server of ours, and is called by it', async () => {
    const server = await ours({
      say: ({ text }, { peer }) => peer.say({ text: `${text} back` }),
    });
    const peer = peerOf(await open(server.url));
    expect(await peer.request('say', { text: 'a' })).toBe('theirs a back');
    await expect(peer.request('fail', undefined)).rejects.toMatchObject({
      message: 'no',
      code: 7,
      data: { why: 'seven' },
    });
    await expect(peer.request('nothing', {})).rejects.toMatchObject({ code: -32_601 });
    await expect(peer.request('say', {})).rejects.toMatchObject({ code: -32_602 });
    peer.notify('typing', {});
    expect(await peer.request('say', { text: 'b' })).toBe('theirs b back');
  });

  it('answers a client of ours, and calls it', async () => {
    let called: PromiseLike<unknown> | undefined;
    const url = await theirs((socket) => {
      called = peerOf(socket).request('say', { text: 'c' });
    });
    const conn = await dial(url);
    endings.push(() => conn.close());
    const peer = calculator.connect(conn, { say: ({ text }) => `ours ${text}` });
    expect(await peer.say({ text: 'd' })).toBe('theirs d');
    expect(await called).toBe('ours c');
    await expect(peer.fail()).rejects.toMatchObject({ code: -32_601 });
  });
});

describe('vscode-ws-jsonrpc', () => {
  const connectionOf = (socket: WebSocket) => {
    const connection = createWebSocketConnection(toSocket(socket as never), console);
    connection.onRequest('say', ({ text }: { text: string }) => `theirs ${text}`);
    connection.listen();
    return connection;
  };

  it('calls a server of ours, cancels, and is called by it', async () => {
    let signal: AbortSignal | undefined;
    const server = await ours({
      say: ({ text }, context) => {
        if (text !== 'slow') return context.peer.say({ text });
        signal = context.signal;
        return new Promise<string>((_, reject) => {
          context.signal.addEventListener('abort', () => reject(context.signal.reason));
        });
      },
    });
    const connection = connectionOf(await open(server.url));
    expect(await connection.sendRequest('say', { text: 'a' })).toBe('theirs a');
    const source = new CancellationTokenSource();
    const slow = connection.sendRequest('say', { text: 'slow' }, source.token);
    slow.catch(() => {});
    await until(() => expect(signal).toBeDefined());
    source.cancel();
    await expect(slow).rejects.toMatchObject({ code: -32_800 });
    expect(signal?.aborted).toBe(true);
  });

  it('answers a client of ours, and calls it', async () => {
    let called: Promise<unknown> | undefined;
    const url = await theirs((socket) => {
      called = connectionOf(socket).sendRequest('say', { text: 'c' });
    });
    const conn = await dial(url);
    endings.push(() => conn.close());
    const peer = calculator.connect(conn, { say: ({ text }) => `ours ${text}` });
    expect(await peer.say({ text: 'd' })).toBe('theirs d');
    expect(await called).toBe('ours c');
  });
});

describe('rpc-websockets', () => {
  it('calls a server of ours', async () => {
    const server = await ours();
    const client = new RpcClient(server.url, { reconnect: false });
    endings.push(() => client.close());
    await new Promise<void>((resolve) => client.once('open', () => resolve()));
    expect(await client.call('say', { text: 'a' })).toBe('said a');
    await expect(client.call('nothing', {})).rejects.toMatchObject({ code: -32_601 });
    await client.notify('typing', {});
    expect(await client.call('say', { text: 'b' })).toBe('said b');
  });

  it('answers a client of ours', async () => {
    const server = new RpcServer({ port: 0, host: '127.0.0.1' });
    await new Promise<void>((resolve) => server.once('listening', () => resolve()));
    endings.push(() => server.close());
    server.register('say', (params) => `theirs ${String(params['text'])}`);
    const { port } = server.wss.address() as AddressInfo;
    const conn = await dial(`ws://127.0.0.1:${port}`);
    endings.push(() => conn.close());
    const peer = calculator.connect(conn, { say: ({ text }) => text });
    expect(await peer.say({ text: 'd' })).toBe('theirs d');
    await expect(peer.fail()).rejects.toMatchObject({ code: -32_601 });
  });
});

describe('the client of the MCP SDK', () => {
  it('initializes, lists tools and calls one', async () => {
    const Any = z.looseObject({});
    const mcp = contract({
      server: {
        initialize: method(z.looseObject({ protocolVersion: z.string() }), Any),
        'notifications/initialized': event(z.union([z.undefined(), Any])),
        'tools/list': method(z.union([z.undefined(), Any]), Any),
        'tools/call': method(z.looseObject({ name: z.string() }), Any),
      },
    });
    const server = await serve(
      { host: '127.0.0.1', subprotocols: ['mcp'] },
      mcp.serve({
        initialize: ({ protocolVersion }) => ({
          protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: 'ours', version: '1' },
        }),
        'notifications/initialized': () => {},
        'tools/list': () => ({
          tools: [{ name: 'greet', inputSchema: { type: 'object' } }],
        }),
        'tools/call': ({ name }) => ({ content: [{ type: 'text', text: `called ${name}` }] }),
      }),
    );
    endings.push(() => server.close({ timeout: 1 }));
    const client = new McpClient({ name: 'theirs', version: '1' });
    // Node 20 has no WebSocket.
    const known = globalThis.WebSocket;
    globalThis.WebSocket = WebSocket as never;
    endings.push(() => void (globalThis.WebSocket = known));
    await client.connect(new WebSocketClientTransport(new URL(server.url)));
    endings.push(() => client.close());
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['greet']);
    expect(await client.callTool({ name: 'greet' })).toMatchObject({
      content: [{ type: 'text', text: 'called greet' }],
    });
  });
});
