import { BunConn } from '../src/bun-conn.ts';
import { BunSocket, type BunWebSocket } from '../src/bun-socket.ts';
import { checkUpgradeOptions } from '../src/options.ts';
import { SocketConn } from '../src/server-conn.ts';
import { turns } from '../src/turns.ts';
import { FakeSocket } from './fake-socket.ts';

const MAX_MESSAGE = 2 ** 25;

/** A connection of a runtime over a fake socket. `waits`: the times between its looks for room. */
export function connected(options: object = {}): {
  conn: SocketConn;
  socket: FakeSocket;
  waits: number[];
} {
  const socket = new FakeSocket();
  const waits: number[] = [];
  const runtime = {
    maxMessage: MAX_MESSAGE,
    turns: turns(0, (ms, look) => {
      waits.push(ms);
      setTimeout(look);
    }),
  };
  const plan = checkUpgradeOptions(options, MAX_MESSAGE);
  return { conn: new SocketConn(socket, plan, runtime, ''), socket, waits };
}

/** A connection of Bun, and what its socket has sent: messages and pings. */
export function connectedByBun(): { conn: BunConn; sent: unknown[] } {
  const sent: unknown[] = [];
  const push = (data: unknown): number => sent.push(data);
  const ws = { send: push, ping: push, getBufferedAmount: () => 0 };
  const socket = new BunSocket(ws as Partial<BunWebSocket<unknown>> as BunWebSocket<unknown>, '');
  const runtime = { maxMessage: MAX_MESSAGE, turns: turns(0, (_, look) => void setTimeout(look)) };
  const plan = checkUpgradeOptions({}, MAX_MESSAGE);
  return { conn: new BunConn(socket, plan, runtime, ''), sent };
}
