// Options of other libraries, and of other functions: each error says what to write, not only what is known.
import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { Dialer, dial, ReconnectingConn } from '@ws/node-client';
import { serve, Upgrader } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { h, type Untyped, url } from './tells.ts';

const OPTIONS: [owner: string, call: (name: string) => unknown, names: string][] = [
  [
    'serve',
    (name) => serve({ port: 0, [name]: 1 } as Untyped, h),
    'path noServer verifyClient perMessageDeflate clientTracking handleProtocols maxPayload backlog skipUTF8Validation autoPong cors pingInterval pingTimeout transports namespace ping onMessage onmessage onOpen message protocols retries reconnect timeout autoReconnect logger adapter mayJoin rooms auth token cookies origin key cert ca rejectUnauthorized ssl https readBufferSize enableCompression CheckOrigin HandshakeTimeout maxRetries sendPings backpressureLimit maxBackpressure idleTimeout',
  ],
  [
    'dial',
    (name) => dial(url, { [name]: 1 }),
    'path server noServer perMessageDeflate clientTracking handleProtocols maxPayload skipUTF8Validation autoPong pingInterval pingTimeout transports namespace ping onMessage onmessage onOpen message protocols retries reconnect timeout autoReconnect logger adapter mayJoin rooms query auth token cookies origin key cert ca rejectUnauthorized ssl https readBufferSize enableCompression checkOrigin HandshakeTimeout maxRetries sendPings backpressureLimit maxBackpressure idleTimeout',
  ],
  [
    'live',
    (name) => new ReconnectingConn(url, { [name]: 1 }),
    'path server noServer perMessageDeflate clientTracking handleProtocols maxPayload skipUTF8Validation autoPong pingInterval pingTimeout transports namespace ping onMessage onmessage message protocols retries reconnect timeout autoReconnect logger adapter mayJoin rooms query auth token cookies origin key cert ca rejectUnauthorized ssl https readBufferSize enableCompression checkOrigin HandshakeTimeout maxRetries sendPings backpressureLimit maxBackpressure idleTimeout',
  ],
  [
    'new Dialer',
    (name) => new Dialer({ [name]: 1 }),
    'path server noServer perMessageDeflate clientTracking handleProtocols maxPayload skipUTF8Validation autoPong pingInterval pingTimeout transports namespace ping onMessage onmessage onOpen message protocols headers retries reconnect timeout autoReconnect logger adapter mayJoin rooms query key cert ca rejectUnauthorized ssl https readBufferSize enableCompression checkOrigin HandshakeTimeout maxRetries sendPings backpressureLimit maxBackpressure idleTimeout',
  ],
  [
    'new Upgrader',
    (name) => new Upgrader({ [name]: 1 }),
    'path server noServer verifyClient perMessageDeflate clientTracking handleProtocols maxPayload skipUTF8Validation autoPong cors pingInterval pingTimeout transports namespace ping onMessage onmessage onOpen message protocols retries reconnect timeout autoReconnect logger adapter mayJoin rooms auth token cookies origin readBufferSize enableCompression CheckOrigin HandshakeTimeout maxRetries sendPings backpressureLimit maxBackpressure idleTimeout',
  ],
  [
    'new Hub',
    (name) => new Hub({ [name]: 1 }),
    'server noServer clientTracking skipUTF8Validation autoPong transports namespace onMessage onmessage onOpen message retries reconnect autoReconnect adapter redis history readBufferSize checkOrigin maxRetries',
  ],
  [
    'connPair',
    (name) => connPair({ [name]: 1 }),
    'noServer readBufferSize enableCompression idleTimeout',
  ],
  [
    'serveRooms',
    (name) => serveRooms({}, { [name]: 1 } as Untyped),
    'pingTimeout readBufferSize idleTimeout',
  ],
  [
    'table',
    (name) => serveRooms({ 'a/*': { mayJoin: true, [name]: 1 } } as Untyped),
    'readBufferSize',
  ],
];

describe('an option of another function or library', () => {
  it.each(OPTIONS)('is told with advice: %s', async (_, call, names) => {
    for (const name of names.split(' ')) {
      const told = expect((async () => call(name))()).rejects;
      await told.toThrow(new RegExp(`unknown option ${name}; (?!known options)`));
    }
  });
});
