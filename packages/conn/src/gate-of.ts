import type { Conn } from './conn.ts';
import type { PreparedResponse } from './read/auto-response.ts';
import { Gate } from './read/gate.ts';
import { Rate, type RatePlan } from './read/rate.ts';

// Not in `ConnInternals`: every page with a Conn would contain the gate, 1.4 kB.

/** Answers a message of the peer without its reader. */
export function setAutoResponse(conn: Conn, autoResponse: PreparedResponse): void {
  gateOf(conn).autoResponse = autoResponse;
}

/** Bounds the rate of the peer's messages. A second call replaces the bound of the first. */
export function limitRate(conn: Conn, plan: RatePlan): void {
  const { connection } = conn['@ws/internals'];
  const gate = gateOf(conn);
  gate.rate?.stopTimer();
  gate.rate = new Rate(connection, plan);
  if (connection.input.held) gate.rate.fire();
}

function gateOf(conn: Conn): Gate {
  const { connection } = conn['@ws/internals'];
  connection.input.gate ??= new Gate(connection);
  return connection.input.gate;
}
