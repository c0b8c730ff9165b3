import type { Socket } from 'node:net';
import type { CloseInfo, Conn, ConnSettings } from '@ws/conn';
import { expect } from 'vitest';
import type { WebSocket } from 'ws';
import type { RawPeer } from '../kit/index.ts';
import { expectNoSockets } from '../kit/index.ts';

/** What carries a connection. */
export interface Carrier {
  readonly secure: boolean;
  /** A stream of HTTP/2, in a session with no other stream. */
  readonly http2: boolean;
  /** The cause of a TransportError after a RST of the peer. A stream has no reset of TCP. */
  readonly resetCause: object;
}

const TCP_RESET = { code: 'ECONNRESET' };
const STREAM_RESET = { message: 'the peer reset the stream: CANCEL' };

/** What the suites run over by default, for `describe.each`. */
export const SOCKETS: readonly (readonly [string, Carrier])[] = [
  ['TCP', { secure: false, http2: false, resetCause: TCP_RESET }],
  ['TLS', { secure: true, http2: false, resetCause: TCP_RESET }],
];

/** The same, as streams of HTTP/2. */
export const HTTP2: readonly (readonly [string, Carrier])[] = [
  ['HTTP/2 in clear', { secure: false, http2: true, resetCause: STREAM_RESET }],
  ['HTTP/2 in TLS', { secure: true, http2: true, resetCause: STREAM_RESET }],
];

/** Opens connections between our end, in one role, and a peer. They end with the test. */
export interface Connector {
  /** Role of our end. */
  readonly role: 'client' | 'server';
  /** Opens a connection to `ws`, which has no message size limit. */
  readonly ws: (carrier: Carrier, settings?: ConnSettings) => Promise<WithWs>;
  /** Opens a connection to a raw peer, after the handshake. */
  readonly raw: (carrier: Carrier, settings?: ConnSettings) => Promise<WithRaw>;
}

/** Our end of a connection. `left` counts the connections that our server or client still holds. */
export interface OurEnd {
  readonly conn: Conn;
  readonly left: () => number;
}

export interface WithWs extends OurEnd {
  readonly ws: WebSocket;
}

export interface WithRaw extends OurEnd {
  readonly peer: RawPeer;
}

/** TCP and TLS, for `describe.each` of tests of sockets. */
export const TRANSPORTS: readonly (readonly [string, boolean])[] = [
  ['TCP', false],
  ['TLS', true],
];

/** Waits for the close event of `ws` and returns its code and reason. */
export function wsClosed(ws: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
}

/** Waits until our end is closed, and checks that its socket and its owner have released it. */
export async function ourEndClosed({ conn, left }: OurEnd): Promise<CloseInfo> {
  const info = await conn.closed;
  expect(conn.state).toBe('closed');
  expect((conn.underlyingConn as Socket).destroyed).toBe(true);
  expect(conn.bufferedAmount).toBe(0);
  expect(left()).toBe(0);
  return info;
}

/** Waits until both ends are closed, and checks that no socket is left. */
export async function bothClosed(ours: OurEnd, peer: Promise<unknown>): Promise<CloseInfo> {
  const info = await ourEndClosed(ours);
  await peer;
  await expectNoSockets();
  return info;
}

/** A connection to `ws` and the promise of its close event. */
export interface OpenWs extends WithWs {
  readonly peer: ReturnType<typeof wsClosed>;
  /** Runs {@link bothClosed}. */
  readonly over: () => Promise<CloseInfo>;
}

export interface OpenRaw extends WithRaw {
  /** Runs {@link ourEndClosed}. */
  readonly ended: () => Promise<CloseInfo>;
  /** Runs {@link bothClosed}. */
  readonly over: () => Promise<CloseInfo>;
}

/** Opens connections for tests of their end. */
export function opener(
  connector: Connector,
  carrier: Carrier,
): {
  readonly ws: (settings?: ConnSettings) => Promise<OpenWs>;
  readonly raw: (settings?: ConnSettings) => Promise<OpenRaw>;
} {
  return {
    async ws(settings) {
      const ours = await connector.ws(carrier, settings);
      const peer = wsClosed(ours.ws);
      return { ...ours, peer, over: () => bothClosed(ours, peer) };
    },
    async raw(settings) {
      const ours = await connector.raw(carrier, settings);
      const { closed } = ours.peer;
      return { ...ours, ended: () => ourEndClosed(ours), over: () => bothClosed(ours, closed) };
    },
  };
}
