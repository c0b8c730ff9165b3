import { type Conn, connPair } from '@ws/conn';
import { type Backplane, Hub, type HubOptions, type Session } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { afterEach, beforeEach, vi } from 'vitest';

/** Each of the following tests has a fake clock. */
export function useFakeTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => void vi.useRealTimers());
}

type Node = ReturnType<typeof node>;

/** A node on a broker of its own. */
export function alone(
  options?: HubOptions,
  change?: (backplane: Backplane) => Partial<Backplane>,
): Node & { broker: MemoryBroker } {
  const broker = new MemoryBroker();
  return { broker, ...node(broker, 'a', options, change) };
}

/** Two nodes on one broker. */
export function pair(options?: HubOptions): { broker: MemoryBroker; a: Node; b: Node } {
  const broker = new MemoryBroker();
  return { broker, a: node(broker, 'a', options), b: node(broker, 'b', options) };
}

/** Each room has a history, so that nodes notice what they have missed. */
export const HISTORY: HubOptions = { rooms: { '*': { history: true } } };

/** Two nodes on one broker. After `b.refuse()`, the engine refuses one message of `b`, which is lost. */
export function losing(): { broker: MemoryBroker; a: Node; b: Node & { refuse: () => void } } {
  const broker = new MemoryBroker();
  let refuses = false;
  const b = node(broker, 'b', HISTORY, (backplane) => ({
    publish(...args) {
      if (!refuses) return backplane.publish(...args);
      refuses = false;
      return Promise.reject(new Error('refused'));
    },
  }));
  return {
    broker,
    a: node(broker, 'a', HISTORY),
    b: { ...b, refuse: () => void (refuses = true) },
  };
}

/** A hub on the broker. `change` replaces methods of its backplane. */
export function node(
  broker: MemoryBroker,
  id: string,
  options: HubOptions = {},
  change: (backplane: Backplane) => Partial<Backplane> = () => ({}),
): { hub: Hub; gaps: string[]; errors: string[] } {
  const backplane = memoryBackplane(broker);
  const hub = new Hub({ id, ...options, backplane: { ...backplane, ...change(backplane) } });
  const gaps: string[] = [];
  const errors: string[] = [];
  // A gap without a room is a gap of the broadcasts.
  hub.on('gap', (room) => void (room !== undefined && gaps.push(room)));
  hub.on('error', (_, error) => void errors.push(String(error)));
  return { hub, gaps, errors };
}

/** A session in rooms, and the texts that its client has received. */
export function enter(
  hub: Hub,
  ...rooms: string[]
): { client: Conn; received: string[]; session: Session } {
  const [client, server] = connPair();
  const session = hub.add(server);
  for (const room of rooms) void session.join(room);
  const received: string[] = [];
  client.receive((message) => void received.push(message.text())).catch(() => {});
  return { client, received, session };
}

/** As {@link enter}. The broker has the subscriptions. */
export async function entered(
  ...args: Parameters<typeof enter>
): Promise<ReturnType<typeof enter>> {
  const found = enter(...args);
  await turns();
  return found;
}

/** Publishes the texts in the room `r`, one after the other. They have arrived. */
export async function send(hub: Hub, ...texts: string[]): Promise<void> {
  for (const text of texts) await hub.room('r').publish(text);
  await turns();
}

export async function turns(): Promise<void> {
  for (let i = 0; i < 8; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Advances the fake clock. */
export async function wait(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await turns();
}
