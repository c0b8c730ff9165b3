import type { Command, Report, Values } from '../command-line/command.ts';
import { wholeNumber } from '../command-line/option-values.ts';
import { chooseCores } from '../harness/cores.ts';
import { settingLine, settingOf } from '../report/setting.ts';
import { measureBroadcast } from './broadcast-measure.ts';
import { broadcastChart, broadcastTable } from './broadcast-report.ts';
import { allowedConnections, limitNote } from './memory.ts';

const SUMMARY = 'one message to 1,000 receivers, alone and 16 in a turn, next to a loop of ws';

const HELP = `ws-bench broadcast: ${SUMMARY}

usage: ws-bench broadcast [--receivers N] [--rounds N] [--profile DIR] [--quick] [--json [FILE]]
                          [--html FILE]

One receiver requests a number of messages. The server sends them to all receivers in that turn: ours
with broadcast(conns, data), ws with a send to each client. The next request follows when every
receiver has all messages. Every received byte is compared with the expected one.

  us     microseconds of the server's CPU for a message to one receiver, all threads together
  x ws   messages to a receiver per CPU second, as times those of ws in the same round

options
  --receivers N  default: 1000
  --rounds N     default: 9
  --profile DIR  write a CPU profile of our server to DIR; slows our server down
  --quick        3 short rounds for a first impression; do not quote the figures
  --json [FILE]  print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE    write a page with charts
`;

/** `ws-bench broadcast`. */
export const broadcast: Command = {
  summary: SUMMARY,
  help: HELP,
  options: {
    receivers: { type: 'string' },
    rounds: { type: 'string' },
    profile: { type: 'string' },
  },
  run,
};

async function run(values: Values): Promise<Report> {
  const quick = values['quick'] === true;
  const rounds = wholeNumber(values, 'rounds', quick ? 3 : 9);
  const asked = wholeNumber(values, 'receivers', 1000);
  const receivers = allowedConnections(asked);
  const cores = chooseCores();
  const setting = settingOf(cores);
  const plan = { rounds, ...(quick ? { ms: 400, warmUpMs: 400 } : { ms: 1000, warmUpMs: 1000 }) };
  const profile = values['profile'] as string | undefined;
  const environment = { cores, bun: undefined, deno: undefined, profile };
  const readings = await measureBroadcast(environment, receivers, plan);
  return {
    document: { setting, quick, plan, receivers, readings },
    text: [
      settingLine(setting),
      `100 B to each of ${receivers} receivers, median of ${rounds} rounds of ${plan.ms} ms`,
      ...limitNote(asked, receivers),
      '',
      broadcastTable(readings),
    ].join('\n'),
    charts: [broadcastChart(readings, receivers)],
  };
}
