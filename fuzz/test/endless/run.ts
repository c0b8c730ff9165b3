import { runCli } from '../../harness/cli.ts';

const limits = { stuckMs: Number(process.env['STUCK_MS']), memoryMb: 64 };
const list = new URL('./targets.ts', import.meta.url);
process.exitCode = await runCli(process.argv.slice(2), list, limits);
