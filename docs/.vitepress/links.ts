import { existsSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';

/** Sources that pages link to, as paths from the root. The site has copies of them. */
export type Sources = Set<string>;

const OUTSIDE = /^(?:[a-z]+:|\/\/|#)/;

/**
 * The path of a page on the site: `docs/conn.md` is `conn.md`, `packages/codec/README.md` is
 * `packages/codec.md`. The site has its own front page instead of the root's README.
 */
export function sitePath(path: string): string {
  return (
    path
      // conformance.md is the page of docs/ with the results of the suite.
      .replace(/^conformance\/README\.md$/, 'ws-conform.md')
      .replace(/^docs\//, '')
      .replace(/^(.+)\/README\.md$/, '$1.md')
      .replace(/^([A-Z_]+)\.md$/, (name) => name.toLowerCase().replaceAll('_', '-'))
  );
}

/**
 * Translates a relative link of a page to a link of the site.
 *
 * @param root - Path of the repository.
 * @param page - The page with the link, as a path from the root.
 * @param sources - Collects linked files that are not pages.
 * @returns undefined for a folder without a page.
 * @throws Error if the target does not exist.
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
    throw new Error(`${page}: ${href} does not exist`);
  }
  if (!path.endsWith('.md')) {
    sources.add(path);
    return `/${path}${isText(path) ? '.txt' : ''}`;
  }
  if (path === 'README.md') return '/';
  return `/${sitePath(path).replace(/\.md$/, '.html')}${hash}`;
}

/** The anchor of a heading, as GitHub makes it: links of pages work in both places. */
export function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

/** The path of a source's copy on the site. */
export function copyOf(source: string): string {
  return isText(source) ? `${source}.txt` : source;
}

/** The path of a page from the root. */
export function fromRoot(root: string, path: string): string {
  return relative(root, path).split(sep).join('/');
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** Whether a file needs the ending .txt, so that browsers show it. */
function isText(path: string): boolean {
  return !/\.(?:svg|png)$/.test(path);
}
