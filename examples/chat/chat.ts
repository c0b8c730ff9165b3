import { type Backplane, Hub, type Session } from '@ws/hub';
import { CloseCode } from '@ws/node-server';
import { MAX_REQUEST } from './protocol.ts';
import { MAX_HISTORY } from './room-names.ts';
import { Visitor } from './visitor.ts';

const DAY_MS = 86_400_000;

/** The chat: a hub in which the data of each session is its visitor. */
export function createChat(backplane?: Backplane): Hub<Visitor> {
  const hub = new Hub<Visitor>({
    backplane,
    maxRooms: 2_000,
    rooms: { 'messages/*': { history: { size: MAX_HISTORY, ttl: DAY_MS } } },
  });
  hub.on('connect', (session) => {
    session.conn.setReadLimit(MAX_REQUEST);
    session.data = new Visitor(hub, session);
  });
  hub.on('message', ({ data: visitor }, message) => {
    if (message.isText) return visitor.handle(message.text());
    return visitor.hangUp(CloseCode.UnsupportedData, 'text only');
  });
  // Tells the members of a room that messages of other nodes may be missing.
  hub.on('gap', (name) => {
    if (name !== undefined) sendAll(hub.room(name).members, JSON.stringify({ t: 'gap' }));
  });
  hub.on('disconnect', ({ data: visitor }) => visitor.leave());
  return hub;
}

function sendAll(sessions: Iterable<Session<Visitor>>, event: string): void {
  for (const session of sessions) if (session.state === 'open') session.send(event);
}
