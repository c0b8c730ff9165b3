import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
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

// Its documentation's index, with the fields of its structs; the head's two additions among them.
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

describe('docs/from-gorilla.md', () => {
  const names = page('from-gorilla.md');

  it.each(Object.entries(GORILLA))('names all %s', (_, list) => {
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
  ])('names all %s', (_, found) => {
    expect(found.length).toBeGreaterThan(3);
    expect([...new Set(found)].filter((name) => !names(name))).toEqual([]);
  });
});
