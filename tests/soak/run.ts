import process from 'node:process';
import { commandLine } from '../kit/command-line.ts';
import { soak } from './soak.ts';
import { judge, tableOf } from './verdict.ts';

const usage = `usage: pnpm long soak [options]

  --minutes      duration after the first wave; default: 10
  --connections  open connections, three of four idle; default: 5,000, or 0.3 x the limit of open files
  --seed         repeats an earlier run; default: a new one, printed
  --tls          use TLS
  --help         this text

Idle and abusive clients come and leave; beside them this library and ws exchange messages, which are checked. Prints
the number of clients and the memory every few seconds. At the end all clients leave.
Exit code 0: nothing remains. 1: something remains. 2: wrong usage.`;

/** The limit of open files. */
const { userLimits } = process.report.getReport() as {
  userLimits?: { open_files?: { soft: number | string } };
};
const files = Number(userLimits?.open_files?.soft) || Infinity;
const { values, number, refuse } = commandLine(usage, {
  minutes: { type: 'string', default: '10' },
  connections: { type: 'string', default: String(Math.min(5_000, Math.floor(0.3 * files))) },
  seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  tls: { type: 'boolean', default: false },
});
const connections = number('connections', 1);
// Both ends are in this process.
if (connections > 0.4 * files) {
  refuse(`--connections: too many for the limit of open files, ${files}`);
}
const seed = number('seed');
const seconds = number('minutes') * 60;
console.log(
  `seed ${seed}, ${connections} connections (limit of open files: ${files}), ${seconds} s`,
);
// For the test of the verdict.
const faulty = process.env['SOAK_FAULTY'] !== undefined;
const plan = { connections, seconds, seed, secure: values.tls, faulty };
const observed = await soak(plan, (line) => console.log(`  ${line}`));
const rows = judge(observed);
const { crowd, talk } = observed;
console.log(`\n${crowd.opened + talk.connections} connections, ${talk.received} messages\n`);
console.log(tableOf(rows));
const failed = rows.filter(({ ok }) => !ok).length;
console.log(`\n${failed === 0 ? 'nothing remains' : `${failed} of ${rows.length} bounds broken`}`);
// A leaked timer would keep the process alive.
process.exit(failed === 0 ? 0 : 1);
