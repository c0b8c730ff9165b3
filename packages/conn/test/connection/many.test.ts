import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  broadcast,
  CloseMessage,
  type Conn,
  formatCloseMessage,
  PingMessage,
  PreparedMessage,
  TextMessage,
} from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

describe('PreparedMessage', () => {
  it('is sent to many connections, many times, by either role', async () => {
    const message = new PreparedMessage(TextMessage, 'hé');
    for (const role of ['server', 'client'] as const) {
      const { conn, output } = wired(role);
      await conn.writePreparedMessage(message);
      await conn.writePreparedMessage(message);
      expect(await output()).toEqual(['text hé', 'text hé']);
    }
  });

  it('has a new mask for every send', async () => {
    const { conn, platform, transport } = wired('client');
    const message = new PreparedMessage(BinaryMessage, new Uint8Array(20));
    void conn.writePreparedMessage(message);
    void conn.writePreparedMessage(message);
    await platform.settle();
    const wire = transport.sent;
    expect(Buffer.from(wire.subarray(2, 6))).not.toEqual(Buffer.from(wire.subarray(28, 32)));
  });

  it('is a snapshot of its data', async () => {
    const { conn, output } = wired('server');
    const bytes = Uint8Array.of(0x61);
    const message = new PreparedMessage(BinaryMessage, bytes);
    bytes[0] = 0x62;
    await conn.writePreparedMessage(message);
    expect(await output()).toEqual(['binary a']);
  });

  it('can be large, and can be a control message', async () => {
    const { conn, output } = wired('server');
    void conn.writePreparedMessage(new PreparedMessage(BinaryMessage, new Uint8Array(200_000)));
    void conn.writePreparedMessage(new PreparedMessage(PingMessage, 'p'));
    void conn.writePreparedMessage(new PreparedMessage(CloseMessage, formatCloseMessage(1001)));
    expect(await output()).toEqual(['binary <200000>', 'ping p', 'close 1001']);
    expect(conn.state).toBe('closing');
  });

  it.each([
    ['a long ping', 9, 'x'.repeat(126)],
    ['a broken close payload', 8, Uint8Array.of(1)],
  ])('rejects %s', (_says, type, data) => {
    expect(() => new PreparedMessage(type, data)).toThrow(RangeError);
  });
});

describe('broadcast', () => {
  const many = (count: number): Wired[] => Array.from({ length: count }, () => wired('server'));

  it('sends to all connections, and returns their number', async () => {
    const wires = many(3);
    expect(
      broadcast(
        wires.map((w) => w.conn),
        'hello',
      ),
    ).toBe(3);
    expect(broadcast(new Set(wires.map((w) => w.conn)), Uint8Array.of(0x61))).toBe(3);
    for (const { platform, sent } of wires) {
      await platform.settle();
      expect(sent()).toEqual(['text hello', 'binary a']);
    }
  });

  it('skips filtered and closed connections', async () => {
    const wires = many(5);
    const conns = wires.map((w) => w.conn);
    void conns[4]!.close();
    expect(broadcast(conns, 'x', { except: conns[0] })).toBe(3);
    expect(broadcast(conns, 'y', { except: [conns[0]!, conns[1]!] })).toBe(2);
    expect(broadcast(conns, 'z', { filter: (conn: Conn) => conn === conns[2] })).toBe(1);
    const seen: string[][] = [];
    for (const { platform, sent } of wires) {
      await platform.settle();
      seen.push(sent());
    }
    expect(seen).toEqual([
      [],
      ['text x'],
      ['text x', 'text y', 'text z'],
      ['text x', 'text y'],
      ['close 1000'],
    ]);
  });

  it('skips a connection with a full queue, and does not delay the others', async () => {
    const [slow, fast] = [
      wired('server', { maxBufferedAmount: 1000, highWaterMark: 500 }),
      wired('server'),
    ];
    slow.transport.block();
    void slow.conn.send('x'.repeat(900));
    await slow.platform.settle();
    expect(broadcast([slow.conn, fast.conn], 'y'.repeat(200))).toBe(1);
    await fast.platform.settle();
    expect(fast.sent()).toHaveLength(1);
  });

  it('sends a borrowed message with its type', async () => {
    const [from, to] = [wired('server'), wired('server')];
    void from.conn.receive((message) => void broadcast([to.conn], message));
    from.feed(from.frame(1, 'text'), from.frame(2, 'bytes'));
    await from.platform.settle();
    await to.platform.settle();
    expect(to.sent()).toEqual(['text text', 'binary bytes']);
  });
});
