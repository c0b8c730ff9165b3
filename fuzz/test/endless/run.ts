import { command } from '../../harness/command.ts';

const bounds = { stuckMs: Number(process.env['STUCK_MS']), memoryMb: 64 };
process.exitCode = await command(new URL('./targets.ts', import.meta.url), bounds);
