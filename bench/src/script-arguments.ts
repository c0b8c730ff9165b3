import process from 'node:process';
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What a script's command line said. */
export type ScriptArguments<T extends ParseArgsConfig> = ReturnType<typeof parseArgs<T>>;

/**
 * Reads the command line of a script, before it does anything. With `--help` it prints `help` and ends; where the command
 * line is wrong it says so and ends with exit code 2.
 */
export function scriptArguments<T extends ParseArgsConfig>(
  help: string,
  config: T,
): ScriptArguments<T> {
  if (process.argv.includes('--help', 2)) {
    process.stdout.write(help);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(2);
  }
}
