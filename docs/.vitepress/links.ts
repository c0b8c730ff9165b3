import { existsSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';

/** Sources that pages refer to, as paths from the root: the site has copies of them. */
export type Sources = Set<string>;

const OUTSIDE = /^(?:[a-z]+:|\/\/|#)/;

/**
 * Where a page of the repository is on the site: `docs/conn.md` is `conn.md`, `packages/codec/README.md` is
 * `packages/codec.md`. The README of the root is not on it: the site has a front page of its own.
 */
export function sitePath(path: string): string {
  return path
    .replace(/^docs\//, '')
    .replace(/^(.+)\/README\.md$/, '$1.md')
    .replace(/^([A-Z_]+)\.md$/, (name) => name.toLowerCase().replaceAll('_', '-'));
}

/**
 * A link as pages write it, relative to themselves and to the tree of the repository, as the site needs it; undefined for
 * a folder that has no page.
 *
 * @param root - Of the repository.
 * @param page - The page with the link, a path from there.
 * @param sources - Is given the files that are no pages.
 */
export function siteLink(
  root: string,
  page: string,
  href: string,
  sources: Sources,
): string | undefined {
  if (OUTSIDE.test(href) || page.startsWith('docs/api/')) return href;
  const [target = '', anchor] = href.split('#', 2);
  const hash = anchor === undefined || anchor === 'readme' ? '' : `#${anchor}`;
  let path = normalize(join(dirname(page), target))
    .split(sep)
    .join('/')
    .replace(/\/$/, '');
  if (isFolder(join(root, path))) {
    path = join(path, 'README.md');
    if (!existsSync(join(root, path))) return undefined;
  }
  if (path.startsWith('..') || !existsSync(join(root, path))) {
    throw new Error(`${page}: there is no ${href}`);
  }
  if (!path.endsWith('.md')) {
    sources.add(path);
    return `/${path}${isText(path) ? '.txt' : ''}`;
  }
  if (path === 'README.md') return '/';
  return `/${sitePath(path).replace(/\.md$/, '.html')}${hash}`;
}

/** Where the copy of a source is. */
export function copyOf(source: string): string {
  return isText(source) ? `${source}.txt` : source;
}

/** A page's path from the root. */
export function fromRoot(root: string, path: string): string {
  return relative(root, path).split(sep).join('/');
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** What a browser would run or offer to save, unless it is called a text. */
function isText(path: string): boolean {
  return !/\.(?:svg|png)$/.test(path);
}
