// The engine of a cluster in place of the one for tests: each hub is alone in a process, whose messages
// are copied as between processes. The faults of the engine for tests are those of a hub's way to it.
import { deserialize, serialize } from 'node:v8';
import type { Backplane, BackplaneSink, Keep, Position } from '@ws/hub';
import { Broker } from '../../src/cluster/broker.ts';
import { WorkerBackplane } from '../../src/cluster/cluster-backplane.ts';
import { Link } from '../../src/cluster/link.ts';

interface Node {
  readonly id: string;
  readonly engine: Backplane;
  readonly sink: BackplaneSink;
  readonly channels: Set<string>;
  away: Error | undefined;
  dropNext: number;
}

const copy = <T>(value: T): T => deserialize(serialize(value)) as T;

/** As MemoryBroker of `@ws/hub/testing`. */
export class MemoryBroker {
  readonly keeps: boolean;
  readonly nodes = new Set<Node>();
  readonly #broker = new Broker();
  #dropNext = 0;
  #doubleNext = 0;
  #away: Error | undefined;
  #delayed: (() => void)[] | undefined;

  constructor({ keeps = true }: { keeps?: boolean } = {}) {
    this.keeps = keeps;
  }

  drop(count = 1, node?: string): void {
    if (node === undefined) this.#dropNext += count;
    else for (const found of this.#named(node)) found.dropNext += count;
  }

  double(count = 1): void {
    this.#doubleNext += count;
  }

  delay(): void {
    this.#delayed ??= [];
  }

  release(): void {
    const delayed = this.#delayed ?? [];
    this.#delayed = undefined;
    for (const deliver of delayed) deliver();
  }

  disconnect(node?: string): void {
    const away = new Error('the broker is away');
    if (node === undefined) this.#away = away;
    const nodes = this.#named(node);
    for (const found of nodes) found.away = away;
    for (const { sink } of nodes) sink.down(away);
  }

  reconnect(node?: string): void {
    if (node === undefined) this.#away = undefined;
    const nodes = this.#named(node);
    for (const found of nodes) found.away = undefined;
    for (const { sink } of nodes) sink.up();
  }

  forget(): void {
    this.#broker.logs.clear();
  }

  inject(channel: string, bytes: Uint8Array, position?: Position): void {
    for (const { sink, channels } of this.nodes) {
      if (channels.has(channel)) sink.message(channel, bytes, position);
    }
  }

  /** The way of a process to the broker. */
  link(): Link {
    const client = this.#broker.connect((batch, sent) => {
      queueMicrotask(() => link.take(copy(batch)));
      sent();
    });
    const link: Link = new Link((batch, sent) => {
      queueMicrotask(() => client.take(copy(batch)));
      sent();
    });
    return link;
  }

  join(id: string, engine: Backplane, sink: BackplaneSink): Node {
    if (this.#away !== undefined) throw this.#away;
    const node = { id, engine, sink, channels: new Set<string>(), away: undefined, dropNext: 0 };
    this.nodes.add(node);
    return node;
  }

  /** A method, so that a test can count the calls. */
  publish(
    { engine, away }: Node,
    channel: string,
    bytes: Uint8Array,
    keep?: Keep,
  ): Promise<Position | undefined> {
    if (away !== undefined) throw away;
    return engine.publish(channel, bytes, this.keeps ? keep : undefined);
  }

  deliver(node: Node, message: Parameters<BackplaneSink['message']>): void {
    if (node.away !== undefined) return;
    if (this.#dropNext > 0) return void this.#dropNext--;
    if (node.dropNext > 0) return void node.dropNext--;
    const times = this.#doubleNext > 0 ? 2 : 1;
    if (times === 2) this.#doubleNext--;
    const deliver = (): void => {
      for (let i = 0; i < times; i++) node.sink.message(...message);
    };
    if (this.#delayed === undefined) deliver();
    else this.#delayed.push(deliver);
  }

  #named(id: string | undefined): Node[] {
    const found = [...this.nodes].filter((node) => id === undefined || node.id === id);
    if (found.length > 0 || id === undefined) return found;
    throw new RangeError(`no hub with the id ${JSON.stringify(id)} has joined the broker`);
  }
}

/** As `memoryBackplane` of `@ws/hub/testing`. */
export function memoryBackplane(broker: MemoryBroker): Backplane {
  const link = broker.link();
  const engine: Backplane = new WorkerBackplane(() => link);
  let node: Node | undefined;
  const backplane: Backplane = {
    async start(sink, id) {
      const joined = broker.join(id, engine, sink);
      node = joined;
      await engine.start(
        {
          message: (...message) => broker.deliver(joined, message),
          up: (isWhole) => sink.up(isWhole),
          down: (error) => sink.down(error),
          gap: (channel, refusal) => sink.gap(channel, refusal),
        },
        id,
      );
    },
    publish: async (channel, bytes, keep) => broker.publish(node!, channel, bytes, keep),
    subscribe(channel) {
      node!.channels.add(channel);
      return engine.subscribe(channel);
    },
    unsubscribe(channel) {
      node!.channels.delete(channel);
      return engine.unsubscribe(channel);
    },
    async close() {
      if (node !== undefined) broker.nodes.delete(node);
      await engine.close();
    },
  };
  if (!broker.keeps) return backplane;
  return {
    ...backplane,
    async history(...query) {
      if (node!.away !== undefined) throw node!.away;
      return engine.history!(...query);
    },
  };
}
