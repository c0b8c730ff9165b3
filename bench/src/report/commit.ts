import { execFileSync } from 'node:child_process';

/**
 * The commit that `folder`, one of a package, is checked out from: `1a2b3c4`, or `1a2b3c4+changes` when a file of the
 * checkout differs from it. Recorded results are none of what is measured, and files that git does not know are not asked
 * for.
 *
 * @returns undefined where there is no checkout with that package in it.
 */
export function commitOf(folder: string): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync('git', ['--no-optional-locks', ...args], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    // A package that was installed somewhere in a checkout is no part of it.
    git('ls-files', '--error-unmatch', 'package.json');
    const hash = git('rev-parse', '--short', 'HEAD');
    const measured = [':/', ':(exclude,top)bench/results'];
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', ...measured);
    return changed === '' ? hash : `${hash}+changes`;
  } catch {
    return undefined;
  }
}
