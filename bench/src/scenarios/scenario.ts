import type { ParseArgsConfig } from 'node:util';
import type { Chart } from '../report/chart.ts';

/** What the command line said. */
export type Values = Readonly<Record<string, string | boolean | undefined>>;

/** What a scenario found: for machines, and for people. */
export interface Report {
  readonly document: object;
  readonly text: string;
  /** Pictures for the page of `--html` and for the README, as plain data: nobody here knows HTML. Default: none. */
  readonly charts?: readonly Chart[];
}

/** Something that can be measured: a word of the command line. */
export interface Scenario {
  /** Two lines for the list of scenarios. */
  readonly summary: string;
  /** The page that `--help` shows. */
  readonly help: string;
  /** Options besides `--quick`, `--json`, `--html` and `--help`. */
  readonly options: NonNullable<ParseArgsConfig['options']>;
  run(values: Values): Promise<Report>;
}
