import type { PreparedMessage } from '@ws/conn';
import type { HubSettings } from '../options.ts';
import type { Session } from '../sessions/session.ts';

/** Live messages that wait for the ends of resumes. All rooms of a session have one bound. */
export class HeldMessages<Data> {
  readonly #settings: HubSettings<Data>;
  readonly #held = new Map<Session<Data>, { messages: number; bytes: number }>();

  constructor(settings: HubSettings<Data>) {
    this.#settings = settings;
  }

  /** Returns false above the bounds of slow sessions. */
  add(session: Session<Data>, { bytes }: PreparedMessage): boolean {
    let held = this.#held.get(session);
    if (held === undefined) this.#held.set(session, (held = { messages: 0, bytes: 0 }));
    held.messages++;
    held.bytes += bytes.length;
    const { maxQueuedMessages, maxQueuedBytes } = this.#settings;
    return held.messages <= maxQueuedMessages && held.bytes <= maxQueuedBytes;
  }

  remove(session: Session<Data>, { bytes }: PreparedMessage): void {
    const held = this.#held.get(session)!;
    held.messages--;
    held.bytes -= bytes.length;
    if (held.messages === 0) this.#held.delete(session);
  }
}
