import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { Conn, type ConnOptions, type Transport } from '@ws/conn';
import { compressingPlatform, DEFLATE } from '@ws/tests/pairs';
import { Input } from '../harness/input.ts';
import { ensureSame, type Target } from '../harness/target.ts';
import { Side } from './side.ts';
import { SlowExtension } from './slow-extension.ts';

const MAX_COMMANDS = 60;

/** Commands for one side. Each gets a number from the input. */
const ACTIONS: readonly ((side: Side, size: number) => void | Promise<void>)[] = [
  (side, size) => side.sendMessage(size, { fragments: 1, compressed: false }),
  (side, size) => side.sendMessage(size, { fragments: 1, compressed: true }),
  (side, size) => side.sendMessage(size, { fragments: 3, compressed: size % 2 === 1 }),
  (side) => side.sendPing(),
  (side, size) => side.deliver(size),
  (side, size) => side.deliver(size + 128),
  (side) => side.deliver(Infinity),
  (side, size) => side.deliver(size * 40),
  (side, size) => side.start('readMessage', size),
  (side, size) => side.start('nextReader', size),
  (side, size) => side.start('receive', size),
  (side, size) => side.start('for await', size),
  (side, size) => side.open(size),
  (side) => side.abort(),
  (side, size) => side.end(size),
  (side, size) => side.stall(size),
  (side, size) => side.sendMessage(size, { fragments: 1, compressed: false, inverted: true }),
  (side, size) => {
    side.sendMessage(size, { fragments: 3, compressed: size % 2 === 1, inverted: true });
  },
  (side, size) => side.sendMessage(size, { fragments: 1, compressed: true }),
  (side, size) => side.slowDown(size),
  (side) => side.abortAtBegin(),
  (side, size) => side.start('readJSON', size),
  (side, size) => side.startWithTimeout(size),
  (side, size) => side.elapse(size),
  (side, size) => side.limitRate(size),
  (side, size) => side.setDeadline(size),
  (side, size) => side.discard(size),
  (side, size) => side.sendMessage(size, { fragments: 2, compressed: true }),
  (side, size) => side.deliver(size % 16),
  (side, size) => side.start('nextReader', size),
  (side) => side.abort(),
  (side, size) => side.open(size),
];

/**
 * Runs any program of messages, chunks, reads, slow handlers, writes and ends over two connections
 * of one process. Their messages have different letters.
 */
export function twoConnections(
  make: (transport: Transport, options: ConnOptions) => Conn = (...args) => new Conn(...args),
): Target {
  return {
    name: 'two-connections',
    description:
      'each message arrives whole, once, in order and as its read wants it, whichever reads give up',
    covers: ['packages/conn/src/', 'packages/codec/src/frames/', 'packages/codec/src/memory/'],
    maxLength: 140,
    dictionary: [],
    separators: [],
    seeds: [
      [],
      // A message in two chunks, read by a handler; the peer resets.
      [20, 1, 0, 170, 8, 200, 136, 0, 12, 0, 140, 0, 28, 0],
      // A compressed one and one in fragments on the other side, read by a loop.
      [23, 0, 3, 180, 5, 141, 9, 90, 141, 0, 25, 1, 29, 3],
      // A full read-ahead, and a stream that is read in pieces.
      [0, 200, 0, 200, 0, 200, 140, 0, 18, 3, 152, 4, 18, 2, 152, 4, 28, 1],
      // Reads that give up: within a compressed message, above the rate, in a slow extension.
      [48, 0, 54, 101, 184, 7, 18, 1, 188, 0, 140, 0, 16, 0, 140, 0, 42, 1, 188, 0, 24, 1],
      [48, 1, 146, 0, 98, 73, 34, 51, 78, 11, 223, 0, 186, 1],
      [38, 0, 32, 60, 18, 0, 140, 0, 156, 0, 24, 1, 44, 1, 174, 0, 38, 1, 36, 2, 136, 3, 18, 0],
    ].map((program, i) => Uint8Array.from([0, 0, i < 4 ? 0 : 3, ...program])),
    async run(input) {
      const read = new Input(input);
      const platform = compressingPlatform();
      const settings = {
        readAhead: read.pick([5_000, 100, 65_536]),
        highWaterMark: read.pick([65_536, 500]),
      };
      const { answers, inverts } = read.pick([
        { answers: 'none', inverts: false },
        { answers: 'echo', inverts: false },
        { answers: 'relay', inverts: false },
        { answers: 'none', inverts: true },
        { answers: 'echo', inverts: true },
        { answers: 'relay', inverts: true },
      ] as const);
      const [first, second] = ['a', 'A'].map((letter) => {
        const extension = inverts ? new SlowExtension() : undefined;
        return new Side(letter, platform, extension, (transport) =>
          make(transport, {
            ...settings,
            role: 'server',
            platform,
            heartbeat: false,
            compression: true,
            deflate: inverts ? undefined : DEFLATE,
            extension,
          }),
        );
      }) as [Side, Side];
      if (answers === 'echo') for (const side of [first, second]) side.answers = side;
      if (answers === 'relay') [first.answers, second.answers] = [second, first];
      for (let i = 0; i < MAX_COMMANDS && !read.done; i++) {
        const what = read.byte();
        const side = (what & 1) === 0 ? first : second;
        // Other commands run in one turn.
        const passes = ACTIONS[(what >> 1) % ACTIONS.length]!(side, read.byte());
        if (passes !== undefined) await passes;
        // Several chunks may arrive in one turn.
        if (what >= 128) await platform.settle();
      }
      await first.finish();
      await second.finish();
      // A read of one side may have written to the other.
      await platform.settle();
      for (const side of [first, second]) side.check();
      ensureSame(sharedSlabPool().lent + sharedMessageBuffers().lent, 0, 'memory still lent');
    },
  };
}
