import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

type MembershipEvent = 'entered' | 'left';

/** If listeners cause this many events of one membership in a row, they leave and join in a circle. */
const MAX_EVENTS = 100;

/** An event whose listeners are being called. */
interface RunningEvent<Data> {
  readonly session: Session<Data>;
  readonly room: string;
  /** Later events of the same session and room, which the listeners have caused. */
  readonly next: MembershipEvent[];
}

/** Emits `entered` and `left`, in the same order for all listeners. */
export class MembershipEvents<Data> {
  readonly #hub: Sessions<Data>;
  /** Several, if a listener lets a session join or leave. */
  readonly #running: RunningEvent<Data>[] = [];

  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
  }

  /**
   * Calls the listeners of an event. If one of them leaves or joins the same room, all listeners get
   * the new event after this one.
   */
  add(event: MembershipEvent, session: Session<Data>, room: string): void {
    if (this.#hub.listeners.of(event).length === 0) return;
    const earlier = this.#runningOf(session, room);
    if (earlier !== undefined) {
      earlier.next.push(event);
      return;
    }
    const running: RunningEvent<Data> = { session, room, next: [] };
    this.#running.push(running);
    this.#hub.emit(event, session, session, room);
    for (const next of running.next) this.#hub.emit(next, session, session, room);
    this.#running.splice(this.#running.indexOf(running), 1);
  }

  /** Whether listeners of `entered` and `left` cause each other without an end. */
  inCircle(session: Session<Data>, room: string): boolean {
    const running = this.#runningOf(session, room);
    return running !== undefined && running.next.length >= MAX_EVENTS;
  }

  #runningOf(session: Session<Data>, room: string): RunningEvent<Data> | undefined {
    return this.#running.find((running) => running.session === session && running.room === room);
  }
}
