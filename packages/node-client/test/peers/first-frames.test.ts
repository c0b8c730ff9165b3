import { formatCloseMessage } from '@ws/conn';
import { nothingLeft, rawServer, switchingProtocols, TRANSPORTS, whenOver } from '@ws/tests/peers';
import { describe, expect, it } from 'vitest';
import { type Conn, Dialer } from '../../src/index.ts';

describe.each(TRANSPORTS)('frames in the same segment as the 101, over %s,', (_, secure) => {
  nothingLeft();

  /** A connection whose peer sends a ping, a message, a pong and a close frame with its 101. */
  async function greeted(): Promise<Conn> {
    const { url, ca } = await rawServer(secure, async (peer) => {
      const request = await peer.head();
      peer.startFrames();
      const frames = [
        peer.encode(9, 'ping'),
        peer.encode(1, 'text'),
        peer.encode(10, 'pong'),
        peer.encode(8, formatCloseMessage(4001, 'at once')),
      ];
      await peer.write(Buffer.concat([Buffer.from(switchingProtocols(request)), ...frames]));
      await peer.until(() => peer.frames.some(({ opcode }) => opcode === 8));
      peer.end();
    });
    const conn = await new Dialer({ tls: { ca } }).dial(url);
    whenOver(() => conn.terminate());
    return conn;
  }

  it('reach handlers that are set synchronously, in order', async () => {
    const conn = await greeted();
    const heard: string[] = [];
    conn.setPingHandler((payload) => void heard.push(Buffer.from(payload).toString()));
    conn.setPongHandler((payload) => void heard.push(Buffer.from(payload).toString()));
    conn.setCloseHandler((code, reason) => void heard.push(`${code} ${reason}`));
    const reading = conn.receive((message) => void heard.push(message.text()));
    await expect(reading).rejects.toMatchObject({ closeCode: 4001 });
    expect(heard).toEqual(['ping', 'text', 'pong', '4001 at once']);
    expect(await conn.closed).toMatchObject({ code: 4001, wasClean: true });
  });

  it('can be read by a stream that is asked for at once', async () => {
    const conn = await greeted();
    const reader = await conn.nextReader();
    expect(await reader.text()).toBe('text');
    await expect(conn.nextReader()).rejects.toMatchObject({ closeCode: 4001, reason: 'at once' });
    expect(conn.stats.pingsIn).toBe(1);
  });
});
