import type { BorrowedMessage, Conn } from '@ws/conn';
import { Hub, type HubOptions, type Session } from '@ws/hub';

/** The session of a connection in a hub with this listener of messages. */
export function inHub(
  conn: Conn,
  listener: (session: Session, message: BorrowedMessage) => unknown,
  options: HubOptions = {},
): Session {
  const hub = new Hub(options);
  hub.on('message', listener);
  return hub.add(conn);
}
