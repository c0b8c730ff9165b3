// Texts of a tarball that the folder of its package does not have.
import { existsSync, readFileSync } from 'node:fs';
import { basename, posix } from 'node:path';
import type { Manifest, Published } from './published.ts';

/** Code, or a Markdown link or image whose target is in the repository. */
const RELATIVE =
  /^```[^]*?^```|`[^`\n]*`(?!\])|(!?)\[((?:[^\][]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)]*)\)/gm;

/** The relative links of a page. */
export function relativeLinks(text: string): string[] {
  return [...text.matchAll(RELATIVE)].flatMap(([link, , label]) =>
    label === undefined ? [] : [link],
  );
}

/** An entry point of a page of `api`, and its declarations. */
const ENTRY = /^## `(.*)`\n+```ts\n([^]*?)^```/gm;

/** The web address of a file at the tag of the release. Undefined without a repository. */
function addressOf({ name, repository, version }: Manifest, path: string): string | undefined {
  const url = repository?.url?.replace(/^git\+/, '').replace(/\.git$/, '');
  return url && `${url}/blob/${name}@${version}/${path}`;
}

/**
 * A README with absolute links. Before the packages have a repository, a link to one of its files
 * becomes its text: it would lead nowhere.
 */
export function absoluteLinks(text: string, { folder, manifest }: Published): string {
  return text.replace(RELATIVE, (found, image: string, label?: string, target = '') => {
    if (label === undefined) return found;
    const address = addressOf(manifest, posix.join(folder, target));
    if (address === undefined) return image === '' ? label : '';
    return `${image}[${label}](${image === '' ? address : address.replace('/blob/', '/raw/')})`;
  });
}

/** What a program that reads documentation needs first: see https://llmstxt.org. */
export function llmsText(one: Published, readme: string): string {
  const { name, description = '' } = one.manifest;
  const api = `api/${basename(one.folder)}.md`;
  const surface = existsSync(api) ? readFileSync(api, 'utf8') : '';
  const entries = [...surface.matchAll(ENTRY)].map(([, entry, code]) => {
    const names = new Set([...code!.matchAll(NAMED)].map(([, own, other]) => own ?? other));
    return `- \`${entry}\`: ${[...names].join(', ')}\n`;
  });
  const links = ['docs/overview.md', api].flatMap((path) => {
    const address = existsSync(path) ? addressOf(one.manifest, path) : undefined;
    return address === undefined ? [] : [`- [${path}](${address})\n`];
  });
  const more = links.length === 0 ? '' : `\n## Docs\n\n${links.join('')}`;
  const exported = entries.length === 0 ? '' : `\n## Exports\n\n${entries.join('')}`;
  const body = readme.replace(/^# .*\n+/, '');
  return `# ${name}\n\n> ${description}\n\n${body.trimEnd()}\n${exported}${more}`;
}

/** The name of a declaration, or of an export of another package. */
const NAMED =
  /^(?:(?:abstract )?(?:class|interface|type|function|const|enum|namespace) (\w+)|export \{ (?:\w+ as )?(\w+) \} from)/gm;
