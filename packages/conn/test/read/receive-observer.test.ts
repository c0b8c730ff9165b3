import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/conn-like.ts';
import { type Conn, connPair } from '../../src/index.ts';

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
  it('resolves for an observer, and for callers after the end', async () => {
    const [client, server] = connPair();
    const receiving = server.receive(() => {});
    const { outcomes, observer } = recorder();
    expect(internalsOf(server).observeReceive(receiving, observer)).toBe(true);
    await client.close();
    const info = await server.closed;
    expect(await receiving).toBe(info);
    expect(outcomes).toEqual([server]);
    expect(internalsOf(server).observeReceive(receiving, observer)).toBe(false);
  });

  it('rejects for its observer and for callers', async () => {
    const [client, server] = connPair();
    const receiving = server.receive(() => {});
    const { outcomes, observer } = recorder();
    internalsOf(server).observeReceive(receiving, observer);
    client.terminate();
    const error: unknown = await receiving.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ closeCode: 1006 });
    expect(outcomes).toEqual([[server, error]]);
  });

  it('rejects for its observer and for later callers', async () => {
    const [client, server] = connPair();
    const receiving = server.receive(() => {});
    const { outcomes, observer } = recorder();
    internalsOf(server).observeReceive(receiving, observer);
    client.terminate();
    await server.closed;
    const error: unknown = await receiving.catch((reason: unknown) => reason);
    expect(outcomes).toEqual([[server, error]]);
    expect(internalsOf(server).observeReceive(receiving, observer)).toBe(false);
  });

  it('takes no other promise, also not that of another connection', () => {
    const [client, server] = connPair();
    for (const other of [Promise.resolve(), server.receive(() => {}), undefined]) {
      expect(internalsOf(client).observeReceive(other, recorder().observer)).toBe(false);
    }
  });
});
