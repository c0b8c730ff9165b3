// The engine of a cluster behind the faults of the engine for tests. Each hub is alone in a process, whose
// messages are copied as between processes.
import { deserialize, serialize } from 'node:v8';
import type { Backplane, Keep, Position } from '@ws/hub';
import type * as Testing from '@ws/hub/testing';
import { vi } from 'vitest';
import { Broker, BrokerClient } from '../../src/cluster/broker.ts';
import { WorkerBackplane } from '../../src/cluster/cluster-backplane.ts';

// The suites have this file in the place of that module.
const memory = await vi.importActual<typeof Testing>('@ws/hub/testing');

type Node = ReturnType<Testing.MemoryBroker['join']>;

const copy = <T>(value: T): T => deserialize(serialize(value)) as T;

export class MemoryBroker extends memory.MemoryBroker {
  readonly broker: Broker = new Broker();
  override readonly logs = this.broker.logs;
  readonly engines = new Map<Node, WorkerBackplane>();

  override publish(
    node: Node,
    channel: string,
    bytes: Uint8Array,
    keep: Keep | undefined,
  ): Promise<Position | undefined> {
    if (node.away !== undefined) throw node.away;
    return this.engines.get(node)!.publish(channel, bytes, this.keeps ? keep : undefined);
  }
}

/** A hub that is alone in its process. */
export function workerOf(broker: Broker): WorkerBackplane {
  return new WorkerBackplane((hub) => {
    const remote = new BrokerClient(broker, (batch, sent) => {
      sent();
      hub.take(copy(batch));
    });
    return {
      send(batch, sent) {
        sent();
        remote.take(copy(batch));
      },
      disconnect() {},
    };
  });
}

export function memoryBackplane(broker: MemoryBroker): Backplane {
  const faulty = memory.memoryBackplane(broker);
  const engine = workerOf(broker.broker);
  let node: Node;
  const backplane: Backplane = {
    ...faulty,
    async start(sink, id) {
      const joined = broker.join(id, sink);
      node = joined;
      broker.engines.set(node, engine);
      const message: typeof sink.message = (channel, bytes, position) =>
        broker.deliver(joined, channel, bytes, position);
      await engine.start({ ...sink, message });
    },
    publish: async (channel, bytes, keep) => broker.publish(node, channel, bytes, keep),
    subscribe(channel) {
      node.channels.add(channel);
      return engine.subscribe(channel);
    },
    unsubscribe(channel) {
      node.channels.delete(channel);
      return engine.unsubscribe(channel);
    },
    async close() {
      if (node !== undefined) broker.leave(node);
      await engine.close();
    },
  };
  if (!broker.keeps) return backplane;
  return {
    ...backplane,
    async history(...query) {
      if (node.away !== undefined) throw node.away;
      return engine.history(...query);
    },
  };
}
