// The behaviour that users of crossws with a sync backplane rely on, case by case.
import { type Conn, connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

let broker: MemoryBroker;
const hubs: Hub[] = [];
beforeEach(() => void (broker = new MemoryBroker()));
afterEach(async () => {
  for (const hub of hubs.splice(0)) await hub.close({ timeout: 1 });
});

function instance(sync = true): Hub {
  const hub = new Hub(sync ? { backplane: memoryBackplane(broker) } : {});
  hub.on('error', () => {});
  hubs.push(hub);
  return hub;
}

function peer(hub: Hub, ...topics: string[]) {
  const [client, server] = connPair();
  const session = hub.add(server);
  for (const topic of topics) void session.join(topic);
  return { client, session };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Reads up to the text 'end', which each hub sends to its own sessions. */
async function received({ client }: { client: Conn }): Promise<(string | Uint8Array)[]> {
  await turns();
  for (const hub of hubs) hub.broadcast('end', { local: true });
  const all: (string | Uint8Array)[] = [];
  for (;;) {
    const message = await client.readMessage();
    const data = message.isText ? message.text() : message.data;
    if (data === 'end') return all;
    all.push(data);
  }
}

describe('sync', () => {
  it('relays peer.publish to the subscribers of all instances, and not to the sender', async () => {
    const [a, b, c] = [instance(), instance(), instance()];
    const [sender, ...others] = [peer(a, 't'), peer(a, 't'), peer(b, 't'), peer(c, 't')] as const;
    await turns();
    await a.room('t').publish('hello', { except: sender.session });
    expect(await received(sender)).toEqual([]);
    for (const other of others) expect(await received(other)).toContain('hello');
  });

  it('relays a message to the subscribers of its topic only', async () => {
    const [a, b] = [instance(), instance()];
    const [subscribed, other, none] = [peer(b, 't'), peer(b, 'u'), peer(b)];
    await turns();
    await a.room('t').publish('hello');
    expect(await received(subscribed)).toEqual(['hello']);
    expect(await received(other)).not.toContain('hello');
    expect(await received(none)).not.toContain('hello');
  });

  it('delivers a message once on its own instance: the echo is suppressed', async () => {
    const own = peer(instance(), 't');
    await turns();
    await hubs[0]!.room('t').publish('hello');
    expect(await received(own)).toEqual(['hello']);
  });

  it('relays binary messages and texts with their type', async () => {
    const [a, b] = [instance(), instance()];
    const other = peer(b, 't');
    await turns();
    await a.room('t').publish(Uint8Array.of(0, 255));
    await a.room('t').publish('grüße');
    expect(await received(other)).toEqual([Uint8Array.of(0, 255), 'grüße']);
  });

  it('relays nothing to a peer that has unsubscribed', async () => {
    const [a, b] = [instance(), instance()];
    const other = peer(b, 't');
    await turns();
    other.session.leave('t');
    await a.room('t').publish('hello');
    expect(await received(other)).toEqual([]);
  });

  it('keeps messages on an instance without sync', async () => {
    const [a, b] = [instance(false), instance(false)];
    const [own, other] = [peer(a, 't'), peer(b, 't')];
    await a.room('t').publish('hello');
    expect(await received(own)).toEqual(['hello']);
    expect(await received(other)).not.toContain('hello');
  });

  it('delivers on its own instance while the backplane is away, and reports it', async () => {
    const hub = instance();
    const failed = vi.fn();
    hub.on('error', failed);
    const own = peer(hub, 't');
    await turns();
    broker.disconnect();
    await hub.room('t').publish('hello');
    expect(await received(own)).toEqual(['hello']);
    expect(failed).toHaveBeenCalledWith(
      undefined,
      expect.objectContaining({ code: 'WS_ERR_BACKPLANE' }),
    );
    broker.reconnect();
  });

  it('receives nothing after the instance has closed', async () => {
    const [a, b] = [instance(), instance()];
    peer(b, 't');
    await turns();
    await b.close({ timeout: 1 });
    await a.room('t').publish('hello');
    await turns();
    expect(b.stats.delivered).toBe(0);
  });
});
