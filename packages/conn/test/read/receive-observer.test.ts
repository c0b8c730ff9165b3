import { describe, expect, it } from 'vitest';
import { type Conn, connPair } from '../../src/index.ts';
import { observeReceive } from '../../src/sibling-calls.ts';

/** Records the outcomes that it gets. */
function recorder() {
  const outcomes: unknown[] = [];
  return {
    outcomes,
    observer: {
      fulfilled: (conn: Conn) => void outcomes.push(conn),
      rejected: (conn: Conn, error: unknown) => void outcomes.push([conn, error]),
    },
  };
}

describe('an observed receive', () => {
  it('resolves for an observer, and for callers and observers after the end', async () => {
    const [client, server] = connPair();
    const receiving = server.receive(() => {});
    const { outcomes, observer } = recorder();
    expect(observeReceive(receiving, observer, server)).toBe(true);
    await client.close();
    const info = await server.closed;
    expect(await receiving).toBe(info);
    expect(outcomes).toEqual([server]);
    observeReceive(receiving, observer, client);
    await receiving;
    expect(outcomes).toEqual([server, client]);
  });

  it('rejects for its observer and for callers', async () => {
    const [client, server] = connPair();
    const receiving = server.receive(() => {});
    const { outcomes, observer } = recorder();
    observeReceive(receiving, observer, server);
    client.terminate();
    const error: unknown = await receiving.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ closeCode: 1006 });
    expect(outcomes).toEqual([[server, error]]);
  });

  it('rejects for its observer, for later callers and for later observers', async () => {
    const [client, server] = connPair();
    const receiving = server.receive(() => {});
    const { outcomes, observer } = recorder();
    observeReceive(receiving, observer, server);
    client.terminate();
    await server.closed;
    const error: unknown = await receiving.catch((reason: unknown) => reason);
    expect(outcomes).toEqual([[server, error]]);
    observeReceive(receiving, observer, client);
    await receiving.catch(() => {});
    expect(outcomes).toEqual([
      [server, error],
      [client, error],
    ]);
  });

  it('takes no other promise', () => {
    expect(observeReceive(Promise.resolve(), recorder().observer, connPair()[0])).toBe(false);
  });
});
