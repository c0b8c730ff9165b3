import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { connSettingNames, resolveSettings } from '@ws/conn/internal';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { checkDialerOptions } from '../../packages/node-client/src/options.ts';
import { planReconnecting } from '../../packages/node-client/src/reconnecting/reconnecting-options.ts';
import { ZlibDeflate } from '../../packages/node-io/src/zlib-deflate.ts';
import { checkUpgraderOptions } from '../../packages/node-server/src/options.ts';

const root = join(import.meta.dirname, '../..');
const read = (page: string): string => readFileSync(join(root, 'docs', page), 'utf8');

describe('the list of pages', () => {
  const overview = read('overview.md');
  const pages = readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && name !== 'index.md')
    .map((name) => name.replace(/\.md$/, ''));
  // An example that is gone leaves its installed packages.
  const examples = readdirSync(join(root, 'examples')).filter((name) =>
    existsSync(join(root, 'examples', name, 'package.json')),
  );
  const packages = readdirSync(join(root, 'packages'));
  const folders = [
    ...examples.map((name) => `examples/${name}`),
    ...packages.map((name) => `packages/${name}`),
    'conformance',
  ];

  it('has every page of docs/ in the sidebar and in docs/overview.md', () => {
    const [, sidebar = ''] = read('.vitepress/config.ts').split('const sidebar');
    const linked = [...sidebar.matchAll(/page\('.*?', '\/([\w-]+)'\)/g)].map(([, name]) => name!);
    expect(pages.filter((name) => !linked.includes(name))).toEqual([]);
    const listed = (name: string): boolean =>
      name === 'overview' || overview.includes(`](${name}.md)`);
    expect(pages.filter((name) => !listed(name))).toEqual([]);
    const others = linked.filter((name) => !pages.includes(name)).toSorted();
    expect(others).toEqual([
      'bench',
      'code-of-conduct',
      'contributing',
      'fuzz',
      'security',
      'ws-conform',
    ]);
  });

  it('has every example and every package in docs/overview.md, each with a README and a test', () => {
    const found = folders.map((folder) => ({
      folder,
      linked: overview.includes(`](../${folder})`),
      documented: existsSync(join(root, folder, 'README.md')),
      tested: readdirSync(join(root, folder, 'test'), { recursive: true, encoding: 'utf8' }).some(
        (name) => name.endsWith('.test.ts'),
      ),
    }));
    expect(found).toEqual(
      folders.map((folder) => ({ folder, linked: true, documented: true, tested: true })),
    );
  });
});

describe('every link of a page', () => {
  const files = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(root, file)));
  const text = (file: string): string =>
    readFileSync(join(root, file), 'utf8').replaceAll(/^```[^]*?^```/gm, '');

  /** The anchors that GitHub makes of the headings, and those that the page has itself. */
  function anchors(file: string): Set<string> {
    const slugs = [...text(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      heading!
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(/\s/g, '-'),
    );
    const own = [...text(file).matchAll(/<a id="([^"]+)"/g)].map(([, id]) => id!);
    return new Set([...slugs, ...own, 'readme']);
  }

  it('has a file and an anchor in this repository', () => {
    const dead = files.flatMap((file) => {
      const links = [...text(file).matchAll(/\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
      return links.flatMap(([link, path, anchor]) => {
        const target = path === '' ? file : join(dirname(file), path!);
        // typedoc writes the pages of the API.
        if (target.startsWith('docs/api')) return [];
        if (!existsSync(join(root, target))) return [`${file}: ${link}`];
        const page = target.endsWith('.md') ? target : join(target, 'README.md');
        const found =
          anchor === undefined || !existsSync(join(root, page)) || anchors(page).has(anchor);
        return found ? [] : [`${file}: ${link}`];
      });
    });
    expect(dead).toEqual([]);
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
    const names = message.split('known options: ')[1]!.split(', ');
    expect(names).toContain('socketPath');
    const rows = read('server.md')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    const documented = new Set(rows.flatMap((row) => row.split('|')[1]!.match(/\w+/g) ?? []));
    expect(names.filter((name) => !documented.has(name))).toEqual([]);
  });
});

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
    const defaults = rows('Of a connection');
    const { writing, ...limits } = resolveSettings({}, 'server');
    const settings: Record<string, unknown> = { ...limits, ...writing };
    const noBound = ['heartbeat', 'writeBufferPool', 'compression', 'report'];
    for (const name of connSettingNames.filter((each) => !noBound.includes(each))) {
      expect([name, figure(defaults.get(name))]).toEqual([name, settings[name]]);
    }
    expect(settings['heartbeat']).toEqual({ interval: 20_000, timeout: 20_000 });
    expect(defaults.get('heartbeat')).toBe('20 s and 20 s');
    expect(figure(defaults.get('readLimit')!.split(' on servers, ')[1])).toBe(
      resolveSettings({}, 'client').readLimit,
    );
  });

  it('has the defaults of a server', () => {
    const defaults = rows('Of a server');
    const { handshakeTimeout, limits } = checkUpgraderOptions({});
    const { maxHandshakes, maxConnections } = limits;
    const bounds = { handshakeTimeout, maxHandshakes, maxConnections };
    const names = Object.keys(bounds);
    expect(Object.fromEntries(names.map((name) => [name, figure(defaults.get(name))]))).toEqual(
      bounds,
    );
  });

  it('has the default of a process', () => {
    const { memoryBudget } = new ZlibDeflate();
    expect(figure(rows('Of a process').get('memoryBudget'))).toBe(memoryBudget);
  });

  it('has the defaults of a client', () => {
    const defaults = rows('Of a client');
    const { handshakeTimeout, followRedirects } = checkDialerOptions({});
    expect(figure(defaults.get('handshakeTimeout'))).toBe(handshakeTimeout);
    expect([defaults.get('followRedirects'), followRedirects]).toEqual(['none', 0]);
    const { minDelay, maxDelay } = planReconnecting('ws://127.0.0.1', {});
    const wait = /\| 0 to (\S+ s), then .*, doubling to (\S+ s) \|/.exec(read('limits.md'));
    expect([figure(wait?.[1]), figure(wait?.[2])]).toEqual([2 * minDelay, maxDelay]);
  });
});

describe('docs/compression.md', () => {
  it('has the default of every option', () => {
    const { compression } = resolveSettings({ compression: true }, 'server').writing;
    const section = read('compression.md').split('## Options\n')[1]!.split('\n## ')[0]!;
    const documented = [...section.matchAll(/^\| `(\w+)` \| (.+?) \|/gm)].map((row) =>
      row.slice(1, 3),
    );
    // RFC 7692: a window is 15 bits if its size is not negotiated.
    const words: Readonly<Record<string, string>> = {
      mode: "`'shared'`",
      clientMaxWindowBits: '15, 12 on a server that keeps windows',
      maxBytes: '256 KiB',
    };
    expect(compression).toMatchObject({ mode: 'shared', maxBytes: 256 * 1024 });
    expect(documented).toEqual(
      Object.entries(compression).map(([name, value]) => [name, words[name] ?? String(value)]),
    );
  });
});

describe('a table of a page', () => {
  it('has no empty line within', () => {
    const listed = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: root, encoding: 'utf8' });
    const torn = listed.split('\0').filter((file) => {
      if (file === '' || !existsSync(join(root, file))) return false;
      const text = readFileSync(join(root, file), 'utf8');
      // Two rows with an empty line between them, of which the second is no head.
      return /^\|.*\|\n\n\|.*\|\n(?!\|[ :|-]+\|$)/m.test(text);
    });
    expect(torn).toEqual([]);
  });
});

describe('docs/maintainers/sizes.md', () => {
  it('has the bound of each checked size, and no size above its bound', () => {
    const bounds = JSON.parse(readFileSync(join(root, 'tools/.size-limit.json'), 'utf8')) as {
      readonly name: string;
      readonly limit: string;
    }[];
    const [bundles = ''] = read('maintainers/sizes.md').split('## The tarballs');
    const rows = [...bundles.matchAll(/^\| `(.*?)`(.*?) \| ([\d.]+) \| ([\d.]+) \|$/gm)];
    expect(rows.map(([, name, rest, , bound]) => [`${name}${rest}`, `${bound} kB`])).toEqual(
      bounds.map(({ name, limit }) => [name, limit]),
    );
    expect(rows.filter(([, , , size, bound]) => Number(size) > Number(bound))).toEqual([]);
  });
});
