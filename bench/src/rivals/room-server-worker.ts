// The server of a room in its own process. See `RoomServerAnswers`.
import { answer } from '../harness/child.ts';
import { delay } from '../harness/delay.ts';
import { type Memory, memory, type Usage, usage } from '../harness/usage.ts';
import { listenRoom, type RoomPlan, type RoomServer } from './room-servers.ts';

/** The requests that the process answers. */
export type RoomServerAnswers = {
  /** Returns the port. */
  listen: (plan: RoomPlan) => Promise<number>;
  usage: (nothing?: undefined) => Usage;
  /** Its memory. Only `collect` triggers a collection, and needs `--expose-gc`. */
  memory: (collect: boolean) => Promise<Memory>;
  /** The 99th percentile of the delay of its event loop in ms, since the last call. */
  delay: (nothing?: undefined) => number;
  /** Fills the queues of slow members. */
  fill: (nothing?: undefined) => Promise<void>;
};

let server: RoomServer;

answer({
  listen: async (plan) => {
    server = await listenRoom(plan);
    return server.port;
  },
  usage,
  memory,
  delay,
  fill: () => server.fill!(),
} satisfies RoomServerAnswers);
