import { BinaryMessage, TextMessage } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import type { CloseInfo } from '../src/closing.ts';
import type { Conn } from '../src/conn.ts';
import { connPair } from '../src/pair.ts';
import { portableHost } from '../src/portable-host.ts';
import type { Watch } from '../src/watch.ts';

/** A watch that writes down what it is told, as readable lines. */
function recording(): { watch: Watch; lines: string[] } {
  const lines: string[] = [];
  const role = (conn: object): string => (conn as Conn).role;
  const watch: Watch = {
    opened: (conn) => lines.push(`${role(conn)} open`),
    closed: (conn, info: CloseInfo) => lines.push(`${role(conn)} closed ${info.code}`),
    messageIn: (conn, type, bytes) => lines.push(`${role(conn)} in ${type} ${bytes}`),
    messageOut: (conn, type, bytes) => lines.push(`${role(conn)} out ${type} ${bytes}`),
  };
  return { watch, lines };
}

describe('Host.watch', () => {
  it('is told of connections and their messages, in their order', async () => {
    const { watch, lines } = recording();
    const [client, server] = connPair({ host: { ...portableHost, watch } });
    await client.send('añ');
    await server.readMessage();
    await server.send(new Uint8Array(70_000));
    await client.readMessage();
    void server.discardReads();
    await client.close();
    await server.closed;
    expect(lines.slice(0, 6)).toEqual([
      'client open',
      'server open',
      `client out ${TextMessage} 3`,
      `server in ${TextMessage} 3`,
      `server out ${BinaryMessage} 70000`,
      `client in ${BinaryMessage} 70000`,
    ]);
    expect(lines.slice(6).toSorted()).toEqual(['client closed 1000', 'server closed 1000']);
  });

  it('is told of a streamed message with its last fragment, also when it is skipped', async () => {
    const { watch, lines } = recording();
    const [client, server] = connPair({ host: { ...portableHost, watch } });
    const writer = await client.nextWriter(TextMessage);
    await writer.write('x'.repeat(10_000));
    await (await server.nextReader()).read(new Uint8Array(1));
    expect(lines.length).toBe(2);
    await writer.close();
    await client.send('next');
    expect((await server.readMessage()).text()).toBe('next');
    expect(lines.slice(2).toSorted()).toEqual([
      `client out ${TextMessage} 10000`,
      `client out ${TextMessage} 4`,
      `server in ${TextMessage} 10000`,
      `server in ${TextMessage} 4`,
    ]);
  });

  it('may have some members only', async () => {
    const [client, server] = connPair({ host: { ...portableHost, watch: {} } });
    await client.send('x');
    expect((await server.readMessage()).text()).toBe('x');
    client.terminate();
    await Promise.all([client.closed, server.closed]);
  });
});
