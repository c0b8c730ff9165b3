import type { Role } from '@ws/codec';
import { FramePeer, joinParts } from '@ws/tests';
import { Conn } from '../src/conn.ts';
import type { ConnSettings } from '../src/options/conn-options.ts';
import type { Platform } from '../src/platform/platform.ts';
import { portablePlatform } from '../src/platform/portable-platform.ts';
import type { Transport } from '../src/transport.ts';
import { transportPair } from '../src/transports/pair.ts';

/** The raw peer at the other end of a Conn's transport. */
class TransportPeer extends FramePeer<void> {
  readonly #transport: Transport;

  constructor(transport: Transport, role: Role) {
    super(role);
    this.#transport = transport;
    transport.start({
      data: (chunk, end) => this.take(Buffer.from(chunk.subarray(0, end))),
      drain: () => {},
      end: () => {
        this.ended = true;
        this.wake();
      },
      close: () => {
        this.over = true;
        this.wake();
      },
    });
    this.startFrames();
  }

  override write(...parts: readonly (Uint8Array | string)[]): void {
    this.#transport.write(joinParts(parts));
  }

  override end(): void {
    this.#transport.end();
  }

  override destroy(): void {
    this.#transport.destroy();
  }
}

/** Creates a Conn of `role` and the raw peer that it is connected to. */
export function rawPair(
  role: Role,
  settings: ConnSettings = {},
  platform: Platform = portablePlatform,
): { conn: Conn; peer: TransportPeer; transport: Transport } {
  const [near, far] = transportPair(platform);
  return {
    transport: near,
    conn: new Conn(near, { ...settings, role, platform }),
    peer: new TransportPeer(far, role === 'server' ? 'client' : 'server'),
  };
}

/** Waits for several turns of the event loop. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
