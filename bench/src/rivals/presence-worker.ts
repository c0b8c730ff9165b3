// A node of the measurement of presence in its own process. See `PresenceAnswers`.
import { connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { answer } from '../harness/child.ts';
import { percentile } from '../harness/statistics.ts';
import { type Memory, memory, type Usage, usage } from '../harness/usage.ts';
import { backplaneOf } from './room-servers.ts';

const ROOM = 'all';
/** Most sessions that come and go. */
const SESSIONS = 200;

/** The requests that the process answers. */
export type PresenceAnswers = {
  /** Connects to Redis, with so many members. */
  start: (plan: { redis: number; members: number }) => Promise<void>;
  /** Number of members that the node knows. */
  known: (nothing?: undefined) => number;
  /** Joins and leaves so often a second. Each join has its time as `info`. */
  churn: (plan: { rate: number; ms: number }) => Promise<void>;
  /** Ms until this node has seen the joins of other nodes, since the last call. */
  seen: (nothing?: undefined) => { count: number; p50: number; p99: number };
  usage: (nothing?: undefined) => Usage;
  memory: (collect: boolean) => Promise<Memory>;
};

let hub: Hub;
let sessions: Session[];
let latencies: number[] = [];

function now(): number {
  return performance.timeOrigin + performance.now();
}

function add(): Session {
  return hub.add(connPair()[1]);
}

answer({
  start: async ({ redis, members }) => {
    hub = new Hub({
      backplane: await backplaneOf(redis),
      rooms: { [ROOM]: { presence: () => ({ at: now() }) } },
    });
    hub.on('presence', (_, { joined }) => {
      const seenAt = now();
      for (const { node, info } of joined.values()) {
        if (node !== hub.id) latencies.push(seenAt - (info as { at: number }).at);
      }
    });
    sessions = Array.from({ length: SESSIONS }, add);
    for (let i = 0; i < members; i++) void add().join(ROOM);
  },
  known: () => hub.room(ROOM).presence.size,
  churn: async ({ rate, ms }) => {
    const start = performance.now();
    let done = 0;
    while (performance.now() - start < ms) {
      const due = Math.floor(((performance.now() - start) * rate) / 1_000);
      for (; done < due; done++) {
        const session = sessions[done % SESSIONS]!;
        if (session.rooms.size > 0) session.leave(ROOM);
        else void session.join(ROOM);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  },
  seen: () => {
    const sorted = latencies.toSorted((a, b) => a - b);
    latencies = [];
    const count = sorted.length;
    if (count === 0) return { count, p50: 0, p99: 0 };
    return { count, p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
  },
  usage,
  memory,
} satisfies PresenceAnswers);
