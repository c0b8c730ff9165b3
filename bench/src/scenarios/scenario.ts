import type { ParseArgsConfig } from 'node:util';
import type { Chart } from '../report/chart.ts';

/** What the command line said. */
export type Values = Readonly<Record<string, Value>>;

/** Of one option; a list where it may be given more than once. */
export type Value = string | boolean | undefined | readonly (string | boolean)[];

/** What a scenario found: for machines, and for people. */
export interface Report {
  readonly document: object;
  readonly text: string;
  /** Pictures for the page of `--html` and for the README, as plain data: nobody here knows HTML. Default: none. */
  readonly charts?: readonly Chart[];
  /** Whether something went wrong that the report tells of: the command's exit code is 1 then. Default: false. */
  readonly failed?: boolean;
}

/** An option that most scenarios have. */
export type CommonOption = 'json' | 'html' | 'quick';

/** Something that can be measured: a word of the command line. */
export interface Scenario {
  /** Two lines for the list of scenarios. */
  readonly summary: string;
  /** The page that `--help` shows. */
  readonly help: string;
  /** Options besides `--help` and {@link common}. */
  readonly options: NonNullable<ParseArgsConfig['options']>;
  /** Which of the common options it has. Default: all. */
  readonly common?: readonly CommonOption[];
  /** The name, among the values, of a word that must follow: `url`. Default: none. */
  readonly argument?: string;
  /** @returns Nothing, where there is nothing to report. */
  run(values: Values): Promise<Report | undefined>;
}
