import { portablePlatform } from '@ws/conn';
import type { Backplane, BackplaneSink, Keep } from '../backplane/backplane.ts';
import { BackplaneLink } from '../backplane/backplane-link.ts';
import { EngineLogs } from '../backplane/engine-logs.ts';
import { loadedLink } from '../backplane/loaded-link.ts';
import type { Position } from '../position.ts';
import { PresenceLink } from '../presence/presence-link.ts';

export type { Backplane } from '../backplane/backplane.ts';
export type { Position } from '../position.ts';

/** The options of a {@link MemoryBroker}. */
export interface MemoryBrokerOptions {
  /** Whether the broker keeps the histories of rooms. If false, no room has one. Default: true. */
  readonly keeps?: boolean | undefined;
}

interface Node {
  readonly id: string;
  readonly sink: BackplaneSink;
  readonly channels: Set<string>;
  /** Why the node is disconnected; undefined while it is connected. */
  away: Error | undefined;
  /** Number of the node's next deliveries that are lost. */
  dropNext: number;
}

/**
 * An engine in memory, for tests with several hubs in one process. Its methods simulate faults.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { Hub } from '@ws/hub';
 * import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
 *
 * const broker = new MemoryBroker();
 * const one = new Hub({ backplane: memoryBackplane(broker) });
 * const two = new Hub({ backplane: memoryBackplane(broker) });
 * const [client, server] = connPair();
 * two.add(server);
 * await new Promise(setImmediate); // the broker has the subscription
 * await one.broadcast('from the other node');
 * console.log((await client.readMessage()).text()); // from the other node
 * await Promise.all([one.close(), two.close()]);
 * ```
 */
export class MemoryBroker {
  /** Whether the broker keeps the histories of rooms. */
  readonly keeps: boolean;
  /** @internal */
  readonly logs: EngineLogs = new EngineLogs(() => portablePlatform.now());
  readonly #nodes = new Set<Node>();
  #dropNext = 0;
  #doubleNext = 0;
  /** Why all nodes are disconnected, and none can join; undefined while they are connected. */
  #away: Error | undefined;
  /** Deliveries that wait for {@link release}. */
  #delayed: (() => void)[] | undefined;

  constructor({ keeps = true }: MemoryBrokerOptions = {}) {
    this.keeps = keeps;
  }

  /**
   * Loses the next `count` deliveries.
   *
   * @param node - Id of the hub that loses the deliveries. Default: any hub.
   */
  drop(count = 1, node?: string): void {
    if (node === undefined) this.#dropNext += count;
    else for (const found of this.#named(node)) found.dropNext += count;
  }

  /** Repeats each of the next `count` deliveries. */
  double(count = 1): void {
    this.#doubleNext += count;
  }

  /** Delays all deliveries until {@link release}. */
  delay(): void {
    this.#delayed ??= [];
  }

  /** Makes the delayed deliveries, and ends the delay. */
  release(): void {
    const delayed = this.#delayed ?? [];
    this.#delayed = undefined;
    for (const deliver of delayed) deliver();
  }

  /**
   * Disconnects until {@link reconnect}. Publications reject meanwhile.
   *
   * @param node - Id of the hub to split from the others. Default: all hubs.
   */
  disconnect(node?: string): void {
    const away = new Error('the broker is away');
    if (node === undefined) this.#away = away;
    const nodes = this.#named(node);
    for (const found of nodes) found.away = away;
    for (const { sink } of nodes) sink.down(away);
  }

  /** Ends the outage of {@link disconnect}. */
  reconnect(node?: string): void {
    if (node === undefined) this.#away = undefined;
    const nodes = this.#named(node);
    for (const found of nodes) found.away = undefined;
    for (const { sink } of nodes) sink.up();
  }

  /** Deletes all history, like the restart of an engine without a disk. */
  forget(): void {
    this.logs.clear();
  }

  /** Delivers bytes that no hub has published. The channel of the room `lobby` is `room/lobby`. */
  inject(channel: string, bytes: Uint8Array, position?: Position): void {
    for (const { sink, channels } of this.#nodes) {
      if (channels.has(channel)) sink.message(channel, bytes, position);
    }
  }

  /** @internal */
  join(id: string, sink: BackplaneSink): Node {
    if (this.#away !== undefined) throw this.#away;
    const node = { id, sink, channels: new Set<string>(), away: undefined, dropNext: 0 };
    this.#nodes.add(node);
    return node;
  }

  /** @internal */
  leave(node: Node): void {
    this.#nodes.delete(node);
  }

  /** @internal */
  publish(
    from: Node,
    channel: string,
    bytes: Uint8Array,
    keep: Keep | undefined,
  ): Position | undefined | Promise<Position | undefined> {
    if (from.away !== undefined) throw from.away;
    const position =
      keep === undefined || !this.keeps ? undefined : this.logs.add(channel, bytes, keep);
    for (const node of this.#nodes) {
      if (node.channels.has(channel)) this.deliver(node, channel, bytes, position);
    }
    return position;
  }

  /** @internal */
  deliver(node: Node, channel: string, bytes: Uint8Array, position: Position | undefined): void {
    if (node.away !== undefined) return;
    if (this.#dropNext > 0) return void this.#dropNext--;
    if (node.dropNext > 0) return void node.dropNext--;
    const times = this.#doubleNext > 0 ? 2 : 1;
    if (times === 2) this.#doubleNext--;
    const deliver = (): void => {
      for (let i = 0; i < times; i++) node.sink.message(channel, bytes, position);
    };
    if (this.#delayed === undefined) queueMicrotask(deliver);
    else this.#delayed.push(deliver);
  }

  #named(id: string | undefined): Node[] {
    const found = [...this.#nodes].filter((node) => id === undefined || node.id === id);
    if (found.length > 0 || id === undefined) return found;
    throw new RangeError(`no hub with the id ${JSON.stringify(id)} has joined the broker`);
  }
}

/** Connects a hub to a {@link MemoryBroker}. Call it once for each hub. */
export function memoryBackplane(broker: MemoryBroker): Backplane {
  let node: Node | undefined;
  // The hub then has no code to load, and joins the broker at once: tests need not wait.
  loadedLink.Link = BackplaneLink;
  loadedLink.PresenceLink = PresenceLink;
  const backplane: Backplane = {
    async start(sink, id) {
      node = broker.join(id, sink);
    },
    publish: async (channel, bytes, keep) => broker.publish(node!, channel, bytes, keep),
    subscribe(channel) {
      node!.channels.add(channel);
      return Promise.resolve();
    },
    unsubscribe(channel) {
      node!.channels.delete(channel);
      return Promise.resolve();
    },
    close() {
      if (node !== undefined) broker.leave(node);
      return Promise.resolve();
    },
  };
  if (!broker.keeps) return backplane;
  return {
    ...backplane,
    async history(channel, since, limit, keep) {
      if (node!.away !== undefined) throw node!.away;
      return broker.logs.read(channel, since, limit, keep);
    },
  };
}
