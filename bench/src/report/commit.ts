import { execFileSync } from 'node:child_process';

/**
 * The commit of the checkout that contains the package in `folder`: `1a2b3c4`, or `1a2b3c4+changes`
 * for modified files. Recorded results and untracked files do not count, because they are not
 * measured.
 *
 * @returns undefined without a checkout that contains the package.
 */
export function commitOf(folder: string): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync('git', ['--no-optional-locks', ...args], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    // A package installed inside a checkout, such as in node_modules, is not part of it.
    git('ls-files', '--error-unmatch', 'package.json');
    const hash = git('rev-parse', '--short', 'HEAD');
    const measured = [':/', ':(exclude,top)bench/results'];
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', ...measured);
    return changed === '' ? hash : `${hash}+changes`;
  } catch {
    return undefined;
  }
}
