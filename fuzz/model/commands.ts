import type { Input } from '../harness/input.ts';
import type { WireOptions } from './wire.ts';

// What may be done to two Conns and the wire between them, one thing after the other.

/** The client's end, or the server's. */
export type End = 0 | 1;

export const DEEDS = [
  'send',
  'prepared',
  'open',
  'write',
  'finish',
  'abort',
  'ping',
  'pong',
  'read',
  'stream',
  'step',
  'pass',
  'close',
  'terminate',
  'break',
] as const;

export interface Command {
  readonly deed: (typeof DEEDS)[number];
  readonly end: End;
  /** Bytes, turns or milliseconds, whatever the deed takes. */
  readonly size: number;
}

/** How both ends and the wire are set up. */
export interface Stage {
  readonly wires: readonly [WireOptions, WireOptions];
  readonly readAhead: number;
  readonly highWaterMark: number;
  readonly maxBufferedAmount: number | false;
  readonly writeBufferSize: number;
}

/** Deeds that end a connection come up seldom, or nothing else would be seen. */
const OFTEN = DEEDS.slice(0, 12);
const MAX_COMMANDS = 40;

export function stageOf(read: Input): Stage {
  const wire = (): WireOptions => ({
    cuts: [read.pick([100_000, 1, 2, 7, 40, 200, 1_000, 5_000]), read.pick([65_536, 20, 3_000])],
    stalls: [read.byte() % 3, read.byte() % 2],
    highWaterMark: read.pick([65_536, 0, 500]),
  });
  return {
    wires: [wire(), wire()],
    readAhead: read.pick([65_536, 100, 5_000]),
    highWaterMark: read.pick([65_536, 1_000, 1_000_000]),
    maxBufferedAmount: read.pick([false, false, 20_000, 300]),
    writeBufferSize: read.pick([4_096, 10, 1_000]),
  };
}

/** Two bytes for each command. */
export function commandsOf(read: Input): Command[] {
  const commands: Command[] = [];
  while (!read.done && commands.length < MAX_COMMANDS) {
    const what = read.byte();
    const end = (what & 1) as End;
    const deed = what < 240 ? OFTEN[(what >> 1) % OFTEN.length]! : DEEDS[12 + ((what >> 1) % 3)]!;
    const size = read.byte();
    commands.push({ deed, end, size: size < 200 ? size : (size - 199) ** 2 * 20 });
  }
  return commands;
}
