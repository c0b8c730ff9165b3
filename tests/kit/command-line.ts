import process from 'node:process';
import { type ParseArgsConfig, parseArgs } from 'node:util';

type Options = NonNullable<ParseArgsConfig['options']>;
type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O }>>['values'];

/** The options of a program for the command line of `pnpm long`. */
export interface CommandLine<O extends Options> {
  readonly values: Values<O>;
  /**
   * Reads a number such as `10` or `1e7`; only `minutes` may have a fraction.
   *
   * @param least - The smallest value. Default: 0.
   */
  readonly number: (this: void, name: keyof O & string, least?: number) => number;
  /** Prints the reason and the usage, and ends the process with exit code 2. */
  readonly refuse: (this: void, why: string) => never;
}

/**
 * Reads the options of this process. `--help` prints `usage` and ends the process with 0, an unknown
 * option with 2.
 */
export function commandLine<const O extends Options>(
  usage: string,
  options: O,
  args: readonly string[] = process.argv.slice(2),
): CommandLine<O> {
  const refuse = (why: string): never => {
    console.error(`${why}\n\n${usage}`);
    process.exit(2);
  };
  const parse = (): Values<O> & { readonly help?: unknown } => {
    try {
      return parseArgs({ args: [...args], options: { ...options, help: { type: 'boolean' } } })
        .values;
    } catch (error) {
      return refuse((error as Error).message);
    }
  };
  const values = parse();
  if (values.help === true) {
    console.log(usage);
    process.exit(0);
  }
  return {
    values,
    refuse,
    number(name, least = 0) {
      const text = String((values as Readonly<Record<string, unknown>>)[name]);
      const value = Number(text);
      const isWhole = name === 'minutes' || Number.isSafeInteger(value);
      if (/^\d+(?:\.\d+)?(?:e\d+)?$/.test(text) && isWhole && value >= least && value < Infinity) {
        return value;
      }
      return refuse(`--${name}: not a valid number: ${text}`);
    },
  };
}
