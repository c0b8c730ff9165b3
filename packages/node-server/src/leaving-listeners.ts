import type { EventEmitter } from 'node:events';

/** Listeners for 'upgrade' that leave paths without a route to others. */
const leaving = new WeakSet<object>();

/** Notes a listener that leaves paths. */
export function noteLeaving(listener: object): void {
  leaving.add(listener);
}

/** Whether no other listener gets a request that `listener` leaves: then it has to answer. */
export function isLastLeaving(server: Pick<EventEmitter, 'listeners'>, listener: object): boolean {
  const listeners = server.listeners('upgrade');
  return listeners.at(-1) === listener && listeners.every((other) => leaving.has(other));
}
