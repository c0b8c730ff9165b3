import type { ParseArgsConfig } from 'node:util';
import type { Table } from '../report/table.ts';

/** The options of a command line, by name. */
export type Values = Readonly<Record<string, Value>>;

/** The value of one option. An option that may be repeated has a list. */
export type Value = string | boolean | undefined | readonly (string | boolean)[];

/** The result of a command, for programs and for people. */
export interface Report {
  readonly document: object;
  /** The charts of `--html`. */
  readonly tables: readonly Table[];
  readonly text: string;
  /** Why the figures may not be those of a quiet machine. Default: no reason. */
  readonly warnings?: readonly string[];
  /** What the figures describe, where it is not this library: the URL of a server. */
  readonly target?: string;
  /** The figures that `--history` compares. Default: the first table. */
  readonly compared?: Table;
  /** Default: 0. */
  readonly exitCode?: number;
  /** Versions of what was used besides Node and this library. Default: none. */
  readonly versions?: Readonly<Record<string, string>>;
  /** Why the run ended early: `stopped after 2 of 34`. Printed after the figures; no file is written. */
  readonly endedEarly?: string;
}

/** An option that most commands have. */
export type CommonOption = 'json' | 'html' | 'history' | 'quick';

/** The words on a command line that are no options. */
export interface Words {
  /** Singular, as error messages call it: `url`. */
  readonly name: string;
  readonly least: number;
  readonly most: number;
}

/** A subcommand of `ws-bench`. */
export interface Command {
  /** One or two lines for the list of commands. */
  readonly summary: string;
  /** The text of `--help`. */
  readonly help: string;
  /** Options besides `--help` and {@link common}. */
  readonly options: NonNullable<ParseArgsConfig['options']>;
  /** The common options that the command has. Default: all. */
  readonly common?: readonly CommonOption[];
  /** The words that the command takes. Default: none. */
  readonly words?: Words;
  /**
   * @param stop - Its abort stops the measurement, and the report has what was measured.
   * @returns A report, or an exit code when the command prints its own output.
   */
  run(values: Values, words: readonly string[], stop: AbortSignal): Promise<Report | number>;
}
