import type { Socket } from 'node:net';
import type { CloseInfo, Conn, ConnSettings } from '@ws/conn';
import { expect } from 'vitest';
import type { WebSocket } from 'ws';
import { expectNoSockets } from './leftovers.ts';
import type { RawPeer } from './raw-peer.ts';

/** A connection of ours, at one end or the other, with a peer to match. All of it ends with the test. */
export interface Stage {
  /** What our end is. */
  readonly role: 'client' | 'server';
  /** Opens a connection whose other end is `ws`, with no limit of size there. */
  readonly ws: (secure: boolean, settings?: ConnSettings) => Promise<WithWs>;
  /** Opens a connection whose other end is a raw socket, behind the handshake. */
  readonly raw: (secure: boolean, settings?: ConnSettings) => Promise<WithRaw>;
}

/** A connection of ours; `left` counts those that our server, or our client, still holds. */
export interface Ours {
  readonly conn: Conn;
  readonly left: () => number;
}

export interface WithWs extends Ours {
  readonly ws: WebSocket;
}

export interface WithRaw extends Ours {
  readonly peer: RawPeer;
}

/** TCP and TLS, for `describe.each`. */
export const OVER: readonly (readonly [string, boolean])[] = [
  ['TCP', false],
  ['TLS', true],
];

/** How a connection of `ws` ended, once it has. */
export function wsClosed(ws: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    ws.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
}

/** Waits until our end is closed, checks that its socket and its owner let it go, and says how it ended. */
export async function ended({ conn, left }: Ours): Promise<CloseInfo> {
  const info = await conn.closed;
  expect(conn.state).toBe('closed');
  expect((conn.underlyingConn as Socket).destroyed).toBe(true);
  expect(conn.bufferedAmount).toBe(0);
  expect(left()).toBe(0);
  return info;
}

/** Both ends are closed: neither has left a socket. */
export async function allGone(ours: Ours, peer: Promise<unknown>): Promise<CloseInfo> {
  const info = await ended(ours);
  await peer;
  await expectNoSockets();
  return info;
}
