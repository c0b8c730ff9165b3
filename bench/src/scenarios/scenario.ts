import type { ParseArgsConfig } from 'node:util';

/** What the command line said. */
export type Values = Readonly<Record<string, string | boolean | undefined>>;

/** What a scenario found: for machines, and for people. */
export interface Report {
  readonly document: object;
  readonly text: string;
}

/** Something that can be measured: a word of the command line. */
export interface Scenario {
  /** Two lines for the list of scenarios. */
  readonly summary: string;
  /** The page that `--help` shows. */
  readonly help: string;
  /** Options besides `--quick`, `--json` and `--help`. */
  readonly options: NonNullable<ParseArgsConfig['options']>;
  run(values: Values): Promise<Report>;
}
