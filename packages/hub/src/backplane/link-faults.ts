import { BackplaneError } from '../errors.ts';
import { Reports } from '../reports.ts';
import { VERSION } from './envelope.ts';
import type { LocalHub } from './local-hub.ts';

/** Bound of the reported nodes with the id of this node. */
const MAX_TWINS = 100;

/** A fault that is reported together with others of its kind. */
interface RepeatedFault {
  readonly text: (count: number) => string;
  readonly cause: unknown;
}

/** Reports the faults of a backplane. A fault that may repeat is reported at most once a second. */
export class LinkFaults {
  readonly #hub: LocalHub;
  readonly #newerVersions = new Set<number>();
  /** The names of other nodes with the id of this node. Each is reported once. */
  readonly #twins = new Set<string>();
  readonly #repeated: Reports<string, RepeatedFault> = new Reports((_, count, { text, cause }) =>
    this.report(text(count), { cause }),
  );

  constructor(hub: LocalHub) {
    this.#hub = hub;
  }

  report(message: string, options?: ErrorOptions): void {
    this.#hub.failed(undefined, new BackplaneError(message, options));
  }

  /** The engine has refused a channel. The node subscribes again later. */
  channelRefused(channel: string, cause: unknown): void {
    const name = JSON.stringify(channel);
    this.#reportRepeated('channel', {
      text: (count) =>
        count === 1
          ? `the backplane refused channel ${name}`
          : `the backplane refused ${count} channels, the last of them ${name}`,
      cause,
    });
  }

  wordRefused(cause: unknown): void {
    this.#reportRepeated('word', { text: () => 'the backplane refused words of this node', cause });
  }

  invalid(cause: unknown): void {
    const text = (count: number): string =>
      `${count === 1 ? 'invalid bytes' : `${count} invalid messages`} on the backplane`;
    this.#reportRepeated('invalid', { text, cause });
  }

  newer(version: number): void {
    if (this.#newerVersions.has(version)) return;
    this.#newerVersions.add(version);
    this.report(`another node sends format version ${version}, this node reads version ${VERSION}`);
  }

  /** @param id - The id that this node and the other one both have. */
  twin(node: string, id: string): void {
    if (this.#twins.has(node) || this.#twins.size === MAX_TWINS) return;
    this.#twins.add(node);
    this.report(`another node has the id ${JSON.stringify(id)} (option id)`);
  }

  flushAll(): void {
    this.#repeated.flushAll();
  }

  #reportRepeated(kind: string, fault: RepeatedFault): void {
    this.#repeated.add(kind, 1, fault, this.#hub.platform);
  }
}
