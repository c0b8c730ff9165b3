// The site of the docs, which `pnpm run docs` builds. With CI set, a missing build fails the test.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const site = join(root, '.out/site');
const unbuilt = !existsSync(join(site, 'index.html')) && !process.env['CI'];
if (unbuilt) console.log('skipped: the site of the docs; not built, pnpm run docs does it');

describe.skipIf(unbuilt)('the site of the docs', () => {
  it('has the file and the anchor of every link', () => {
    const files = new Set(
      readdirSync(site, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(
          ({ parentPath, name }) =>
            `/${relative(site, join(parentPath, name)).replaceAll('\\', '/')}`,
        ),
    );
    const pages = [...files].filter((file) => file.endsWith('.html'));
    const contents = new Map(pages.map((page) => [page, readFileSync(join(site, page), 'utf8')]));
    const ids = new Map(
      [...contents].map(([page, html]) => [
        page,
        new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)),
      ]),
    );
    const file = (path: string) =>
      [path, `${path}.html`, posix.join(path, 'index.html')].find((each) => files.has(each));
    const dead = [...contents].flatMap(([page, html]) =>
      [...html.matchAll(/ (?:href|src)="(?![a-z]+:)([^"#?]*)[^"#]*(?:#([^"]+))?"/g)].flatMap(
        ([link, path, anchor]) => {
          const target = path === '' ? page : file(posix.resolve(posix.dirname(page), path!));
          const missing =
            anchor !== undefined && !ids.get(target!)?.has(decodeURIComponent(anchor));
          return target === undefined || missing ? [`${page}:${link}`] : [];
        },
      ),
    );
    expect(pages.length).toBeGreaterThan(100);
    expect(dead).toEqual([]);
  });

  it('has a list of its pages in llms.txt, and their text in docs.txt, in one order', () => {
    const list = readFileSync(join(site, 'llms.txt'), 'utf8');
    const text = readFileSync(join(site, 'docs.txt'), 'utf8');
    const titles = [...list.matchAll(/^- \[(.+?)\]\(\S+\.html\): \S/gm)].map(([, title]) => title!);
    expect(titles.length).toBeGreaterThan(40);
    const places = titles.map((title) => text.indexOf(`\n# ${title}\n`));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places).not.toContain(-1);
  });
});
