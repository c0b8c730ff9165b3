import { type Conn, connPair } from '@ws/conn';
import type { Hub, Joined, JoinOptions, Position, Session } from '@ws/hub';

/** A session that joins the room `r`, with what its client has received. */
export interface Visit {
  readonly client: Conn;
  readonly session: Session;
  readonly received: string[];
  readonly joined: Promise<Joined>;
}

/** A new session that joins the room. */
export function visit(hub: Hub, options?: JoinOptions): Visit {
  const [client, server] = connPair();
  const received: string[] = [];
  client.receive((message) => void received.push(message.text())).catch(() => {});
  const session = hub.add(server);
  return { client, session, received, joined: session.join('r', options) };
}

/** A new session with a client that reads nothing until the test reads. */
export function slowVisit(hub: Hub, options: JoinOptions): Omit<Visit, 'received'> {
  const [client, server] = connPair({ readAhead: 1_000, highWaterMark: 2_000 });
  const session = hub.add(server);
  return { client, session, joined: session.join('r', options) };
}

/** Reads until a text. */
export async function textsOf(client: Conn, last: string): Promise<string[]> {
  const texts: string[] = [];
  while (texts.at(-1) !== last) texts.push((await client.readMessage()).text());
  return texts;
}

/** Publishes the numbers up to `count`, with a padding. Returns their positions. */
export async function publish(hub: Hub, count: number, padding = ''): Promise<Position[]> {
  const positions = [];
  for (let i = 1; i <= count; i++) {
    positions.push((await hub.room('r').publish(`${i}${padding}`))!);
  }
  return positions;
}

/** The option `first`: what it knows. */
export const first = ({ complete, position }: Joined): string => `${complete} ${position?.offset}`;
