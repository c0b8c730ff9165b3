import { execFileSync, spawnSync } from 'node:child_process';

const NOT_MEASURED: readonly string[] = ['bench/results', 'docs', '*.md'];

/**
 * The last commit of the checkout that contains the package in `folder`: `1a2b3c4`, or
 * `1a2b3c4+changes` for modified files. Recorded results, pages and untracked files do not count,
 * because they are not measured.
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
    const measured = [':/', ...NOT_MEASURED.map((path) => `:(exclude,top)${path}`)];
    const hash = git('log', '-1', '--format=%h', '--', ...measured);
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', ...measured);
    return changed === '' ? hash : `${hash}+changes`;
  } catch {
    return undefined;
  }
}

/** Whether sources of the packages differ from those of a commit. False for an unknown commit. */
export function sourcesChanged(root: string, commit: string): boolean {
  const hash = commit.replace('+changes', '');
  const sources = ':(glob)packages/*/src/**';
  const options = { cwd: root, stdio: 'ignore' } as const;
  return spawnSync('git', ['diff', '--quiet', hash, '--', sources], options).status === 1;
}
