import { EventEmitter, once } from 'node:events';
import type { BackplaneSink, Position } from '@ws/hub';

type Received = [channel: string, bytes: Uint8Array, position: Position | undefined];

/** Records the reports of a backplane. Tests wait for them. */
export class RecordingSink implements BackplaneSink {
  /** `up`, `down` and `gap`, in order. */
  readonly reports: string[] = [];
  readonly #received: Received[] = [];
  readonly #changed = new EventEmitter();

  /** Messages that the test has not taken yet. */
  get count(): number {
    return this.#received.length;
  }

  message(channel: string, bytes: Uint8Array, position?: Position): void {
    this.#received.push([channel, new Uint8Array(bytes), position]);
    this.#changed.emit('change');
  }

  up(): void {
    this.#report('up');
  }

  down(): void {
    if (this.reports.at(-1) !== 'down') this.#report('down');
  }

  gap(channel?: string, refusal?: Error): void {
    this.#report(refusal === undefined ? `gap ${channel}` : `refused ${channel}`);
  }

  failed(): void {
    this.#report('failed');
  }

  /** Waits for a report, then removes it and the earlier ones. */
  async report(name: string): Promise<void> {
    await this.reported(name);
    this.reports.splice(0, this.reports.indexOf(name) + 1);
  }

  /** Waits for a report. */
  async reported(name: string): Promise<void> {
    while (!this.reports.includes(name)) await once(this.#changed, 'change');
  }

  /** Waits for a message. Returns false, and removes the report, when the report comes first. */
  async receivesBefore(name: string): Promise<boolean> {
    while (this.count === 0 && !this.reports.includes(name)) await once(this.#changed, 'change');
    if (this.count > 0) return true;
    await this.report(name);
    return false;
  }

  /** Waits for `count` messages and takes them. */
  async raw(count: number): Promise<Received[]> {
    while (this.#received.length < count) await once(this.#changed, 'change');
    return this.#received.splice(0, count);
  }

  /** As {@link raw}, decoded as text. */
  async messages(count: number): Promise<[string, string, Position | undefined][]> {
    const received = await this.raw(count);
    return received.map(([channel, bytes, position]) => {
      return [channel, new TextDecoder().decode(bytes), position];
    });
  }

  #report(name: string): void {
    this.reports.push(name);
    this.#changed.emit('change');
  }
}
