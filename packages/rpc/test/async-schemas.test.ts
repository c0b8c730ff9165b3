// Ends while a schema checks an input.
import { type Conn, connPair, type StandardSchema } from '@ws/conn';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { inHub } from './in-hub.ts';
import { call, settled, until } from './pairs.ts';

/** A server with a schema that accepts each input when the test calls `release`. */
function setUp() {
  const release: (() => void)[] = [];
  const validate = async (value: unknown) => {
    await new Promise<void>((resolve) => release.push(resolve));
    return { value };
  };
  const slow: StandardSchema = { '~standard': { version: 1, vendor: 'slow', validate } };
  const slowly = contract({ server: { ask: method(slow, z.any()), say: event(slow) } });
  const ran: string[] = [];
  const [client, conn] = connPair();
  const session = inHub(
    conn,
    slowly.listener({ ask: () => ran.push('ask'), say: () => ran.push('say') }),
  );
  return { client, session, ran, release };
}

const SAY = '{"jsonrpc":"2.0","method":"say","params":[1]}';

describe('the handler of an input that a schema checks asynchronously', () => {
  it.each([call(1, 'ask', [1]), SAY])(
    'does not run after a close that revokes: %s',
    async (text) => {
      const { client, session, ran, release } = setUp();
      await client.send(text);
      await until(() => expect(release).toHaveLength(1));
      const closed = session.close(4401, 'logged out');
      release[0]!();
      await closed;
      expect(ran).toEqual([]);
    },
  );

  it('does not run for a request that was cancelled meanwhile', async () => {
    const { client, ran, release } = setUp();
    await client.send(call(1, 'ask', [1]));
    await until(() => expect(release).toHaveLength(1));
    await client.send('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}');
    await settled(client);
    release[0]!();
    expect((await client.readMessage()).json()).toMatchObject({ id: 1, error: { code: -32_800 } });
    expect(ran).toEqual([]);
  });

  it('does not run after the connection has broken', async () => {
    const { client, session, ran, release } = setUp();
    await client.send(SAY);
    await until(() => expect(release).toHaveLength(1));
    client.terminate();
    await (session.conn as Conn).closed;
    release[0]!();
    await new Promise((resolve) => setImmediate(resolve));
    expect(ran).toEqual([]);
  });

  it('runs for what came before a close of the peer', async () => {
    const { client, session, ran, release } = setUp();
    await client.send(SAY);
    await until(() => expect(release).toHaveLength(1));
    await client.close();
    await until(() => expect(session.state).toBe('closed'));
    release[0]!();
    await until(() => expect(ran).toEqual(['say']));
  });
});
