import { fileOf } from './dial-options.ts';
import { usage } from './failure.ts';
import type { Io } from './io.ts';
import type { OptionName, Values } from './options.ts';

/**
 * Reads the values of `--header`, `--user` and `--proxy` that are not on the command line, because
 * every user of a machine can list command lines. Replaces `@FILE` by the lines of a file, and
 * `@env:NAME` by those of a variable of the environment.
 *
 * @throws Failure, exit code 2 or 8, for a variable that is not set or a file that cannot be read.
 */
export function withSecrets(values: Values, env: Io['env']): Values {
  const { header, user, proxy } = values;
  return {
    ...values,
    ...(header !== undefined && { header: header.flatMap((text) => linesOf('header', text, env)) }),
    ...(user !== undefined && { user: lineOf('user', user, env) }),
    ...(proxy !== undefined && { proxy: lineOf('proxy', proxy, env) }),
  };
}

function lineOf(name: OptionName, text: string, env: Io['env']): string {
  const [line, ...more] = linesOf(name, text, env);
  if (line !== undefined && more.length === 0) return line;
  throw usage(
    `--${name}: expected one line in ${text}, got ${line === undefined ? 0 : more.length + 1}`,
  );
}

function linesOf(name: OptionName, text: string, env: Io['env']): string[] {
  if (!text.startsWith('@')) return [text];
  const [, variable] = /^@env:(.*)$/s.exec(text) ?? [];
  const value = variable === undefined ? textOf(name, text.slice(1)) : env[variable];
  if (value === undefined) {
    throw usage(`--${name}: the environment has no variable ${variable}`);
  }
  return value.split(/\r?\n/).filter((line) => line.trim() !== '');
}

function textOf(name: OptionName, path: string): string {
  return fileOf(name, path)
    .toString()
    .replace(/^\ufeff/, '');
}
