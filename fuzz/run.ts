import { command } from './harness/command.ts';

process.exitCode = await command(new URL('./targets.ts', import.meta.url));
