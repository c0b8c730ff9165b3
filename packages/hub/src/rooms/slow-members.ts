import type { FallBehind } from '../delivery/audience.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { Cursor } from './cursor.ts';

/** Lets the members of a room whose sessions have no room for a message read on from the history. */
export function slowMembers<Data>(hub: Sessions<Data>, name: string): FallBehind<Data> {
  return (audience, session, item) => {
    const cursor = new Cursor(hub, session, name, {}, { missed: 0 }, item);
    void cursor.fallBehind(audience, item);
  };
}
