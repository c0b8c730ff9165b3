import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { ConnectionChain, type Reads } from '../../src/reconnecting/connection-chain.ts';

const closed = Promise.resolve({ code: 1006, reason: '', wasClean: false });

/** Opens the next connection and ends it. */
function connect(chain: ConnectionChain<object>): WeakRef<object> {
  const conn = {};
  chain.opened(conn, {} as Reads, closed);
  chain.closed();
  return new WeakRef(conn);
}

describe('a connection that a reader has read', () => {
  // V8 may keep one in a register of a generator for as long as that runs.
  it('holds no later one', async () => {
    const chain = new ConnectionChain<object>();
    const links = chain.read(new AbortController().signal);
    const reading = links.next();
    connect(chain);
    const first = (await reading).value;
    const second = connect(chain);
    await links.next();
    connect(chain);
    await links.next();
    for (let i = 0; i < 10 && second.deref() !== undefined; i++) {
      await new Promise((resolve) => void setImmediate(resolve));
      collectGarbage();
    }
    expect(first?.number).toBe(1);
    expect(second.deref()).toBe(undefined);
  });
});
