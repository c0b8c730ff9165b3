import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/error-messages.md'), 'utf8');
const packages =
  'browser codec compat conn fetch hub node-client node-io node-server obs proxy'.split(' ');
const sourcesOf = (name: string): string[] => {
  const folder = join(root, 'packages', name, 'src');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts') && !file.includes('generated'))
    .map((file) => readFileSync(join(folder, file), 'utf8'));
};
const sources = packages.flatMap(sourcesOf);

/** Classes whose argument is the name of a call, not a message. */
const NAMED =
  /^(?:UnsupportedError|ReadPendingError|HubClosedError|SessionClosedError|ObsRequestError)$/;

/** The fixed parts of every message that a source file passes to the constructor of a class. */
function messagesIn(source: string, classes: ReadonlySet<string>): string[] {
  const calls = source.matchAll(/new (\w+Error)\(((?:'[^'\n]*'|"[^"\n]*"|`[^`]*`|[^;'"`])*)/g);
  return [...calls].flatMap(([, name, rest]) => {
    if (!classes.has(name!) || NAMED.test(name!)) return [];
    const literals = [...rest!.matchAll(/'([^'\n]*)'|"([^"\n]*)"|`([^`]*)`/g)];
    return literals.flatMap((parts) =>
      parts
        .slice(1)
        .join('')
        .split(/\$\{.*?\}/),
    );
  });
}

describe('docs/error-messages.md', () => {
  it('has an anchor for each code in the sources', () => {
    const codes = new Set(
      sources.flatMap((source) => source.match(/\bWS_ERR_[A-Z0-9_]+\b/g) ?? []),
    );
    expect(codes.size).toBeGreaterThan(30);
    expect([...codes].filter((code) => !page.includes(`<a id="${code}"></a>`))).toEqual([]);
  });

  it('names each exported class of errors', () => {
    const names = sources.flatMap((source) =>
      [...source.matchAll(/^export class (\w+Error) extends/gm)].map(([, name]) => name!),
    );
    expect(names).toContain('ProxyError');
    expect(names.filter((name) => !page.includes(name))).toEqual([]);
  });

  it('has each message that the sources write in a constructor call', () => {
    const classes = new Set(page.match(/\b[A-Z]\w+Error\b/g));
    for (const builtIn of ['TypeError', 'RangeError', 'SyntaxError', 'Error']) {
      classes.delete(builtIn);
    }
    const parts = sources.flatMap((source) => messagesIn(source, classes));
    expect(parts.length).toBeGreaterThan(100);
    // A text that ends with a line break is the body of an answer.
    const texts = parts
      .map((part) => part.trim())
      .filter((part) => /\w{3}/.test(part) && !part.endsWith('\\n'));
    expect(texts.filter((text) => !page.includes(text))).toEqual([]);
  });

  it('has each fault that the codec finds', () => {
    const codes = sourcesOf('codec').map((source) => source.replaceAll(/^ *(?:\*|\/\/).*$/gm, ''));
    const faults = codes.flatMap((source) =>
      [...source.matchAll(/(?:faults\.push\(|\bfault: )[^'`;\n]*(['`])(.*?)\1/g)].flatMap(
        ([, , text]) => text!.split(/\$\{.*?\}/).map((part) => part.trim()),
      ),
    );
    expect(faults).toContain('bad MASK');
    expect(faults.filter((text) => !page.includes(text))).toEqual([]);
  });
});
