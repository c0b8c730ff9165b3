import { chooseCores } from '../harness/cores.ts';
import { wholeNumber } from '../option-values.ts';
import { settingLine, settingOf } from '../report/setting.ts';
import { broadcastChart, broadcastTable } from './broadcast-report.ts';
import { measureBroadcast } from './broadcast-turns.ts';
import { possible, reduced } from './memory.ts';
import type { Report, Scenario, Values } from './scenario.ts';

const SUMMARY = 'one message to 1,000 receivers, alone and 16 in a turn, next to a loop of ws';

const HELP = `ws-bench broadcast: ${SUMMARY}

usage: ws-bench broadcast [--receivers N] [--rounds N] [--profile DIR] [--quick] [--json [FILE]] [--html FILE]

One of the receivers asks for so many messages, and the server sends them to all in that turn: we by
broadcast(conns, data), ws by a send to each client. When all have all of them, the next are asked for.
Every byte that each receiver gets is compared with what it is to get.

  us     microseconds of the server process's CPU for a message to one receiver, all threads together
  x ws   how many times as many messages to a receiver a CPU second gives as with ws, in the same round

options
  --receivers N  1000
  --rounds N     9
  --profile DIR  leave a CPU profile of our server there; slows us down
  --quick        3 short rounds: a first look, not figures to quote
  --json [FILE]  print one JSON document instead of tables, or write it to a file besides
  --html FILE    write a page with charts
`;

/** `ws-bench broadcast`. */
export const broadcast: Scenario = {
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
  const receivers = possible(asked);
  const cores = chooseCores();
  const setting = settingOf(cores);
  const plan = { rounds, ...(quick ? { ms: 400, warmUpMs: 400 } : { ms: 1000, warmUpMs: 1000 }) };
  const profile = values['profile'] as string | undefined;
  const ground = { cores, bun: undefined, deno: undefined, profile };
  const readings = await measureBroadcast(ground, receivers, plan);
  return {
    document: { setting, quick, plan, receivers, readings },
    text: [
      settingLine(setting),
      `100 B to each of ${receivers} receivers, median of ${rounds} rounds of ${plan.ms} ms`,
      ...reduced(asked, receivers),
      '',
      broadcastTable(readings),
    ].join('\n'),
    charts: [broadcastChart(readings, receivers)],
  };
}
