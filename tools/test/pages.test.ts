import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connSettingNames, resolveSettings } from '@ws/conn';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { checkDialerOptions } from '../../packages/node-client/src/options.ts';
import { planOf } from '../../packages/node-client/src/reconnecting-options.ts';
import { ZlibDeflate } from '../../packages/node-io/src/deflate/zlib-deflate.ts';
import { checkUpgraderOptions } from '../../packages/node-server/src/options.ts';
import { snippets } from '../snippets.ts';

const root = join(import.meta.dirname, '../..');
const read = (page: string): string => readFileSync(join(root, 'docs', page), 'utf8');

describe('README.md', () => {
  const quickStarts = snippets(root).filter(({ file }) => file === 'README.md');

  it.each([
    { start: 'a server', lines: 7, imports: "import { serve } from '@ws/node-server';" },
    { start: 'a client', lines: 4, imports: "import { dial } from '@ws/node-client';" },
  ])('starts $start in $lines lines', ({ lines, imports }) => {
    const found = quickStarts.filter(({ code, run }) => run && code.startsWith(imports));
    expect(found.map(({ code }) => code.match(/^.*\S.*$/gm)!.length)).toEqual([lines]);
  });
});

describe('the contents', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const pages = readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && name !== 'index.md')
    .map((name) => name.replace(/\.md$/, ''));
  const examples = readdirSync(join(root, 'examples'));
  const folders = [
    ...examples.map((name) => `examples/${name}`),
    ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`),
  ];

  it('have every page of docs/ in the sidebar, and in the README', () => {
    const [, sidebar = ''] = read('.vitepress/config.ts').split('sidebar: [');
    const linked = [...sidebar.matchAll(/page\('.*?', '\/([\w-]+)'\)/g)].map(([, name]) => name!);
    expect(pages.filter((name) => !linked.includes(name))).toEqual([]);
    expect(pages.filter((name) => !readme.includes(`](docs/${name}.md)`))).toEqual([]);
    const others = linked.filter((name) => !pages.includes(name)).toSorted();
    expect(others).toEqual(['bench', 'code-of-conduct', 'contributing', 'fuzz', 'security']);
  });

  it('have every example and every package in the README, each with a README and a test', () => {
    const found = folders.map((folder) => ({
      folder,
      linked: readme.includes(`](${folder})`),
      told: existsSync(join(root, folder, 'README.md')),
      tested: readdirSync(join(root, folder, 'test'), { recursive: true, encoding: 'utf8' }).some(
        (name) => name.endsWith('.test.ts'),
      ),
    }));
    expect(found).toEqual(
      folders.map((folder) => ({ folder, linked: true, told: true, tested: true })),
    );
  });

  it('have no command of an example that asks for a pnpm of its own', () => {
    const bare = folders.flatMap((folder) => {
      const text = readFileSync(join(root, folder, 'README.md'), 'utf8');
      const blocks = [...text.matchAll(/^```sh\n([^]*?)^```/gm)].map(([, block]) => block!);
      return blocks.flatMap((block) => block.match(/^pnpm .*$/gm) ?? []);
    });
    expect(bare).toEqual([]);
  });

  it('answer what one asks in the first hour', () => {
    const asked = `server client conn streams compression backpressure custom-transports codec errors close-codes
      limits authentication reverse-proxies deployment testing performance from-ws from-gorilla runtimes`;
    expect(asked.split(/\s+/).filter((name) => !pages.includes(name))).toEqual([]);
    const shown = `chat echo json-rpc dashboard file-upload session-cookie express fastify hono koa cluster
      custom-transport reconnecting-client reverse-proxied`;
    expect(shown.split(/\s+/).filter((name) => !examples.includes(name))).toEqual([]);
  });
});

describe('docs/reverse-proxies.md', () => {
  it.each([
    { language: 'nginx', file: 'nginx.conf' },
    { language: 'haproxy', file: 'haproxy.cfg' },
  ])('quotes the $file that the tests run', ({ language, file }) => {
    const block = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'm').exec(
      read('reverse-proxies.md'),
    )?.[1];
    expect(block).toBe(readFileSync(join(root, 'examples/reverse-proxied', file), 'utf8'));
  });
});

describe('docs/server.md', () => {
  it('has every option in its tables', async () => {
    const refused = serve({ nosuch: 1 } as never, () => {});
    const message = await refused.then(() => '', String);
    const names = message.split('there are ')[1]!.split(', ');
    expect(names).toContain('routes');
    const rows = read('server.md')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    const told = new Set(rows.flatMap((row) => row.split('|')[1]!.match(/\w+/g) ?? []));
    expect(names.filter((name) => !told.has(name))).toEqual([]);
  });
});

/** The names in the sentence of a page that goes on with `before`. */
function takesFalse(page: string, before: string): string[] {
  const [text = ''] = read(page).split(before);
  const sentence = text.slice(Math.max(text.lastIndexOf('. '), text.lastIndexOf('\n\n')));
  return [...sentence.matchAll(/`(\w+)`/g)].map(([, name]) => name!);
}

describe('what takes `false` for no bound', () => {
  const NOT_A_BOUND = ['compression'];
  const takes = connSettingNames
    .filter((name) => !NOT_A_BOUND.includes(name))
    .filter((name) => !throws(() => resolveSettings({ [name]: false }, 'server')));

  it.each([
    ['limits.md', ' and the limits of handshakes and connections take `false`'],
    ['conn.md', ' take `false` for no bound; the others always hold'],
    ['server.md', ' take `false` for no bound; the others always hold'],
  ])('of a connection, is what %s names', (page, before) => {
    expect(takesFalse(page, before).toSorted()).toEqual(takes.toSorted());
  });

  it('of a server, is what server.md names', () => {
    const { handshakeTimeout: _, limits } = checkUpgraderOptions({});
    const { clientAddress: __, ...counts } = limits;
    const names = ['handshakeTimeout', ...Object.keys(counts)];
    for (const name of names) checkUpgraderOptions({ [name]: false });
    expect(takesFalse('server.md', ' take `false` for no bound, never 0').toSorted()).toEqual(
      names.toSorted(),
    );
  });
});

function throws(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch {
    return true;
  }
}

describe('docs/limits.md', () => {
  /** The rows of a section, by their option. */
  function rows(section: string): Map<string, string> {
    const text = read('limits.md').split(`## ${section}\n`)[1]!.split('\n## ')[0]!;
    const cells = text.split('\n').map((line) => line.split(' | '));
    return new Map(
      cells.flatMap((row) => {
        const name = /^`(\w+)`/.exec(row[3]?.trim() ?? '')?.[1];
        return name === undefined ? [] : [[name, row[1]!]];
      }),
    );
  }

  const UNITS: Readonly<Record<string, number>> = {
    KiB: 1024,
    MiB: 1024 ** 2,
    s: 1000,
    min: 60_000,
  };
  const figure = (text = ''): number => {
    if (text === 'no bound') return Infinity;
    const [, base = '', unit = ''] = /([\d,]+)(?: (KiB|MiB|s|min)\b)?/.exec(text) ?? [];
    return Number(base.replace(',', '')) * (UNITS[unit] ?? 1);
  };

  it('has the default of every bound of a connection', () => {
    const told = rows('Of a connection');
    const noBound = ['heartbeat', 'writeBufferPool', 'compression'];
    for (const name of connSettingNames.filter((each) => !noBound.includes(each))) {
      expect([name, figure(told.get(name))]).toEqual([name, resolveSettings({}, 'server')[name]]);
    }
    const { heartbeat } = resolveSettings({}, 'server');
    expect(heartbeat).toEqual({ interval: 20_000, timeout: 20_000 });
    expect(told.get('heartbeat')).toBe('20 s and 20 s on servers, off on clients');
    expect(figure(told.get('readLimit')!.split(' on servers, ')[1])).toBe(
      resolveSettings({}, 'client').readLimit,
    );
  });

  it('has the defaults of a server', () => {
    const told = rows('Of a server');
    const { handshakeTimeout, limits } = checkUpgraderOptions({});
    const { clientAddress: _, ...counts } = limits;
    const bounds = { handshakeTimeout, ...counts };
    const names = Object.keys(bounds);
    expect(Object.fromEntries(names.map((name) => [name, figure(told.get(name))]))).toEqual(bounds);
  });

  it('has the default of a process', () => {
    const { memoryBudget } = new ZlibDeflate();
    expect(figure(rows('Of a process').get('memoryBudget'))).toBe(memoryBudget);
  });

  it('has the defaults of a client', () => {
    const told = rows('Of a client');
    const { handshakeTimeout, followRedirects } = checkDialerOptions({});
    expect(figure(told.get('handshakeTimeout'))).toBe(handshakeTimeout);
    expect([told.get('followRedirects'), followRedirects]).toEqual(['none', 0]);
    const { minDelay, maxDelay } = planOf('ws://127.0.0.1', {});
    const wait = /\| (.* s), doubling to (.* s), at random \|/.exec(read('limits.md'));
    expect([figure(wait?.[1]), figure(wait?.[2])]).toEqual([minDelay, maxDelay]);
  });
});

describe('docs/compression.md', () => {
  it('has the default of every option', () => {
    const { compression } = resolveSettings({ compression: true }, 'server');
    const section = read('compression.md').split('## Options\n')[1]!.split('\n## ')[0]!;
    const told = [...section.matchAll(/^\| `(\w+)` \| (.+?) \|/gm)].map((row) => row.slice(1, 3));
    // What is not said when windows are negotiated is 15 in RFC 7692.
    const words: Readonly<Record<string, string>> = {
      mode: "`'shared'`",
      serverMaxWindowBits: '15',
      clientMaxWindowBits: '15, 12 on a server that keeps windows',
      asyncDeflateThreshold: '32 KiB',
    };
    expect(compression).toMatchObject({ mode: 'shared', asyncDeflateThreshold: 32 * 1024 });
    expect(told).toEqual(
      Object.entries(compression).map(([name, value]) => [name, words[name] ?? String(value)]),
    );
  });
});

describe('docs/performance.md', () => {
  it('has the bound of each size that is checked, and no size beyond its bound', () => {
    const bounds = JSON.parse(readFileSync(join(root, '.size-limit.json'), 'utf8')) as {
      readonly name: string;
      readonly limit: string;
    }[];
    const section = read('performance.md').split('## How large is it?\n')[1]!.split('\n## ')[0]!;
    const rows = [...section.matchAll(/^\| `(.*?)`(.*?) \| ([\d.]+) \| ([\d.]+) \|$/gm)];
    expect(rows.map(([, name, rest, , bound]) => [`${name}${rest}`, `${bound} kB`])).toEqual(
      bounds.map(({ name, limit }) => [name, limit]),
    );
    expect(rows.filter(([, , , size, bound]) => Number(size) > Number(bound))).toEqual([]);
  });
});
