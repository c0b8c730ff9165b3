import { openFiles, type Plan, planOf, usage } from './options.ts';
import { soak } from './soak.ts';
import { judge, tableOf } from './verdict.ts';

function read(files: number): Plan | undefined {
  try {
    return planOf(process.argv.slice(2), files);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

const files = openFiles();
const plan = read(files);
if (plan === undefined) console.log(usage);
else {
  console.log(
    `seed ${plan.seed}, ${plan.connections} connections (limit of open files: ${files}), ` +
      `${plan.seconds} s, ${plan.secure ? 'TLS' : 'TCP'}, compression ${plan.compression}`,
  );
  const observed = await soak(plan, (line) => console.log(line));
  const rows = judge(observed);
  const { opened, ended, messages } = observed.totals;
  console.log(`\n${opened} connections opened, ${ended} ended, ${messages} messages\n`);
  console.log(tableOf(rows));
  const failed = rows.filter(({ ok }) => !ok).length;
  console.log(
    `\n${failed === 0 ? 'nothing remains' : `${failed} of ${rows.length} bounds broken`}`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}
