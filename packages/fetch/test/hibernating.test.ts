import { describe, expect, it, vi } from 'vitest';
import { hibernating } from '../src/hibernating.ts';

vi.mock('cloudflare:workers', () => ({ DurableObject: Object }));

describe('autoResponse of hibernating', () => {
  it.each([
    [{ request: 'ping' }, 'autoResponse.response: expected a string'],
    [{ request: 'ping', response: 'pong', again: 1 }, 'again'],
    ['ping', 'autoResponse'],
    // The runtime would throw in each constructor of the object.
    [{ request: 'x'.repeat(2_049), response: '' }, 'autoResponse.request: expected at most 2048'],
    [{ request: '', response: 'ä'.repeat(1_025) }, 'autoResponse.response: expected at most 2048'],
  ])('refuses %j', (autoResponse, message) => {
    expect(() => hibernating({ autoResponse: autoResponse as never })).toThrow(message);
  });

  it('may have 2048 bytes', () => {
    const text = 'ä'.repeat(1_024);
    expect(hibernating({ autoResponse: { request: text, response: text } })).toBeTypeOf('function');
  });
});

describe('C1 send of hibernating', () => {
  it('counts and sends the bytes of an array whose properties are wrong', async () => {
    const sent: unknown[] = [];
    const socket = {
      readyState: 1,
      bufferedAmount: 1,
      send: (data: unknown) => sent.push(data),
      close: (code: number) => sent.push(code),
      deserializeAttachment: () => ({ data: '', subprotocol: '' }),
    };
    const liar = (size: number, byteLength: number): Uint8Array =>
      Object.defineProperty(new Uint8Array(size).fill(7), 'byteLength', { value: byteLength });
    const Room = hibernating({
      maxBufferedAmount: 100,
      message: (conn) => [conn.send(liar(3, 5_000)), conn.send(liar(5_000, 3))],
    });
    const room = new Room({ getWebSockets: () => [socket], getTags: () => ['@ws/fetch'] }, {});
    await (
      room as never as { webSocketMessage(socket: object, text: string): Promise<void> }
    ).webSocketMessage(socket, 'x');
    expect(sent).toEqual([Uint8Array.of(7, 7, 7), 1013]);
    expect((sent[0] as Uint8Array).byteLength).toBe(3);
  });
});

describe('B6-8 connections() of hibernating', () => {
  it('leaves out a connection that the object has closed', async () => {
    const socketOf = (name: string) => ({
      readyState: 1,
      close() {
        this.readyState = 2;
      },
      deserializeAttachment: () => ({ data: name, subprotocol: '' }),
    });
    const sockets = ['ada', 'bob'].map(socketOf);
    const seen: unknown[] = [];
    const Room = hibernating({
      message: (conn, _message, room) => {
        conn.close(4001);
        seen.push(room.connections().map(({ data }) => data));
      },
    });
    const room = new Room({ getWebSockets: () => sockets, getTags: () => ['@ws/fetch'] }, {});
    await (
      room as never as { webSocketMessage(socket: object, text: string): Promise<void> }
    ).webSocketMessage(sockets[0]!, 'x');
    expect(seen).toEqual([['bob']]);
  });
});
