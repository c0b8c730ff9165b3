import type { SteppedTransportOptions } from '@ws/tests';
import type { Command, End, Setup } from '@ws/tests/pairs';
import type { Input } from '../harness/input.ts';

// Commands for two Conns, decoded from the input of the fuzzer.

/** Actions that do not end the connection. The others are rare: they hide all later commands. */
const OFTEN = [
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
] as const;
const RARE = ['close', 'terminate', 'break'] as const;
const MAX_COMMANDS = 40;

export function setupOf(read: Input): Setup {
  const transport = (): SteppedTransportOptions => ({
    cuts: [read.pick([100_000, 1, 2, 7, 40, 200, 1_000, 5_000]), read.pick([65_536, 20, 3_000])],
    stalls: [read.byte() % 3, read.byte() % 2],
    highWaterMark: read.pick([65_536, 0, 500]),
  });
  return {
    transports: [transport(), transport()],
    compression: false,
    readAhead: read.pick([65_536, 100, 5_000]),
    highWaterMark: read.pick([65_536, 1_000, 1_000_000]),
    maxBufferedAmount: read.pick([false, false, 20_000, 300]),
    writeBufferSize: read.pick([4_096, 10, 1_000]),
    heartbeat: false,
  };
}

/** Reads two bytes for each command. */
export function commandsOf(read: Input): Command[] {
  const commands: Command[] = [];
  while (!read.done && commands.length < MAX_COMMANDS) {
    const what = read.byte();
    const end = (what & 1) as End;
    const action = what < 240 ? OFTEN[(what >> 1) % OFTEN.length]! : RARE[(what >> 1) % 3]!;
    const size = read.byte();
    commands.push({
      action,
      end,
      size: size < 200 ? size : (size - 199) ** 2 * 20,
      sameTurn: false,
    });
  }
  return commands;
}
