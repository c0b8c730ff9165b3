import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DefaultTheme } from 'vitepress';

type Item = DefaultTheme.SidebarItem;

/** The pages of a sidebar as plain text, in its order, for programs that read documentation. */
export interface Texts {
  /** One line a page: title, link, first sentence. See https://llmstxt.org. */
  readonly list: string;
  /** The Markdown of all pages. */
  readonly text: string;
}

/**
 * Joins the pages of the sidebar.
 *
 * @param head - The first lines of the list.
 * @param sourceOf - The path of a page's source from the root, by its path on the site.
 */
export function textsOf(
  root: string,
  sidebar: readonly Item[],
  head: string,
  sourceOf: (page: string) => string,
): Texts {
  const lines = [head];
  const pages: string[] = [];
  for (const { text: group, items = [] } of sidebar) {
    lines.push(`\n## ${group}\n`);
    for (const { link = '' } of items) {
      const page = link.replace(/^\//, '');
      const text = readFileSync(join(root, sourceOf(`${page}.md`)), 'utf8').trim();
      const [, title = page] = /^# (.*)$/m.exec(text) ?? [];
      const sentence = firstSentence(text);
      lines.push(`- [${title}](${page}.html)${sentence === '' ? '' : `: ${sentence}`}`);
      pages.push(text);
    }
  }
  return { list: `${lines.join('\n')}\n`, text: `\n${pages.join('\n\n')}\n` };
}

/** The first sentence of a page, without its links; '' when the page starts with a table or a list. */
function firstSentence(text: string): string {
  const paragraph = text.split('\n\n').find((each) => !/^(?:#|<|```)/.test(each)) ?? '';
  if (/^(?:\||!\[|- )/.test(paragraph)) return '';
  const plain = paragraph.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('\n', ' ');
  const [sentence = ''] = plain.split(/(?<=[.?!])\s/);
  return sentence;
}
