import { BinaryMessage, broadcast, type Conn, PreparedMessage, TextMessage } from '@ws/conn';
import type { Random } from '../kit/index.ts';
import { isSame, KINDS, SIZES, someText } from './support.ts';

/** One direction of a connection: sent messages that the other end must receive, in order. */
interface Lane {
  readonly from: Conn;
  readonly to: Conn;
  readonly expected: { readonly type: number; readonly data: Buffer }[];
  got: number;
  wrong: string | undefined;
}

/** Ways of sending a message, and switches for later messages. */
const ROUTES = [
  'text',
  'bytes',
  'stream',
  'plain stream',
  'prepared',
  'broadcast',
  'uncompressed',
  'compressed',
  'level',
  'off',
  'on',
  'ping',
] as const;
type Route = (typeof ROUTES)[number];

const LEVELS = [-2, -1, 0, 1, 3, 6, 9];

/** Sends messages on several connections by all routes and compares the received ones. */
export class Traffic {
  readonly #random: Random;
  readonly #lanes: Lane[];
  readonly #sizes: readonly number[];
  readonly #pending: Promise<unknown>[] = [];

  /** @param pairs - Both ends of each connection; messages go in both directions. */
  constructor(random: Random, pairs: readonly (readonly [Conn, Conn])[], sizes = SIZES) {
    this.#random = random;
    this.#sizes = sizes;
    this.#lanes = pairs.flatMap(([a, b]) => [lane(a, b), lane(b, a)]);
    for (const lane of this.#lanes) void listen(lane);
  }

  /** Runs `count` random actions. */
  async run(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const lane = this.#lanes[this.#random.below(this.#lanes.length)]!;
      await this.act(lane, ROUTES[this.#random.below(ROUTES.length)]!);
      if (this.#random.below(8) === 0) await this.arrived();
    }
    await this.arrived();
  }

  /** Sends one message of every size on every connection in each direction. */
  async everySize(): Promise<void> {
    for (const size of this.#sizes) {
      for (const lane of this.#lanes) this.#later(lane, this.#message(size));
    }
    await this.arrived();
  }

  async act(lane: Lane, route: Route): Promise<void> {
    const random = this.#random;
    const { from } = lane;
    const data = this.#message(this.#sizes[random.below(this.#sizes.length)]!);
    switch (route) {
      case 'level':
        return from.setCompressionLevel(LEVELS[random.below(LEVELS.length)]!);
      case 'off':
        return from.enableWriteCompression(false);
      case 'on':
        return from.enableWriteCompression(true);
      case 'ping':
        return void this.#pending.push(from.ping());
      case 'text':
        return this.#later(lane, data);
      case 'bytes':
        lane.expected.push({ type: BinaryMessage, data });
        return void this.#pending.push(from.send(data));
      case 'uncompressed':
      case 'compressed':
        lane.expected.push({ type: BinaryMessage, data });
        return void this.#pending.push(from.send(data, { compress: route === 'compressed' }));
      case 'prepared':
        lane.expected.push({ type: BinaryMessage, data });
        return void this.#pending.push(
          from.writePreparedMessage(new PreparedMessage(BinaryMessage, data)),
        );
      case 'broadcast': {
        const senders = this.#lanes.filter(({ from }) => from.role === lane.from.role);
        for (const { expected } of senders) expected.push({ type: TextMessage, data });
        const message = new PreparedMessage(TextMessage, data);
        const sent = broadcast(
          senders.map(({ from }) => from),
          message,
        );
        if (sent !== senders.length) throw new Error(`broadcast to ${sent}`);
        return;
      }
      case 'stream':
      case 'plain stream':
        return this.#stream(lane, data, route === 'stream');
    }
  }

  /** Waits for all sent messages. */
  async arrived(): Promise<void> {
    await Promise.all(this.#pending.splice(0));
    for (const lane of this.#lanes) {
      while (lane.got < lane.expected.length && lane.wrong === undefined) {
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      if (lane.wrong !== undefined) throw new Error(lane.wrong);
    }
  }

  #later(lane: Lane, data: Buffer): void {
    lane.expected.push({ type: TextMessage, data });
    this.#pending.push(lane.from.send(data.toString()));
  }

  async #stream(lane: Lane, data: Buffer, compress: boolean): Promise<void> {
    lane.expected.push({ type: BinaryMessage, data });
    const writer = await lane.from.nextWriter(BinaryMessage, { compress });
    for (let at = 0; at < data.length; ) {
      const end = at + 1 + this.#random.below(data.length);
      await writer.write(data.subarray(at, end));
      at = end;
      if (this.#random.below(3) === 0) this.#pending.push(lane.from.ping());
    }
    await writer.close();
  }

  #message(size: number): Buffer {
    const kind = KINDS[this.#random.below(KINDS.length)]!;
    return Buffer.from(someText(this.#random, size, kind));
  }
}

function lane(from: Conn, to: Conn): Lane {
  return { from, to, expected: [], got: 0, wrong: undefined };
}

async function listen(lane: Lane): Promise<void> {
  try {
    await lane.to.receive((message) => {
      const { type, data } = lane.expected[lane.got]!;
      if (message.type !== type || !isSame(message.data, data)) {
        lane.wrong ??= `message ${lane.got} of ${data.length} bytes differs, ${message.length} came`;
      }
      lane.got++;
    });
  } catch (error) {
    lane.wrong ??= `after ${lane.got} messages: ${String(error)}`;
  }
}
