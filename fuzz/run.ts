import { runCli } from './harness/cli.ts';

process.exitCode = await runCli(process.argv.slice(2), new URL('./targets.ts', import.meta.url));
