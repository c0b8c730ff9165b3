import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type DefaultTheme, defineConfig } from 'vitepress';
import { copyOf, fromRoot, type Sources, siteLink, sitePath } from './links.ts';

const root = join(import.meta.dirname, '../..');
const out = join(root, '.out/site');
const sources: Sources = new Set();

function page(text: string, link: string): DefaultTheme.SidebarItem {
  return { text, link };
}

/** One page for each folder that has a README. */
function folders(group: string, name: (folder: string) => string): DefaultTheme.SidebarItem[] {
  return readdirSync(join(root, group)).map((folder) => page(name(folder), `/${group}/${folder}`));
}

export default defineConfig({
  title: '@ws',
  description: 'WebSockets for Node and TypeScript: fast, bounded, with backpressure and streams',
  lang: 'en',
  // The pages of the repository: READMEs next to the code, the rest in docs/.
  srcDir: '..',
  srcExclude: ['README.md', '**/CHANGELOG.md', '.changeset/**', '.github/**', '**/dist/**'],
  rewrites: sitePath,
  outDir: out,
  cacheDir: join(root, '.out/vitepress'),
  vite: {
    publicDir: join(import.meta.dirname, '../public'),
    // The live page runs the sources of the packages.
    resolve: { conditions: ['@ws/source', 'browser', 'import', 'default'] },
    ssr: {
      noExternal: [/^@ws\//],
      resolve: { conditions: ['@ws/source', 'node', 'import', 'default'] },
    },
  },
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: '/favicon.svg' }]],
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    languageAlias: { haproxy: 'nginx' },
    config(md) {
      md.core.ruler.push('links of the repository', ({ env, tokens }) => {
        const here = fromRoot(root, env.realPath ?? env.path);
        for (const { children } of tokens) {
          for (const token of children ?? []) {
            if (token.type === 'image') {
              // A bound attribute: the bundler would import the file otherwise.
              const copy = siteLink(root, here, token.attrGet('src')!, sources);
              token.type = 'html_inline';
              token.content = `<img :src="'${copy}'" alt="${md.utils.escapeHtml(token.content)}">`;
            } else if (token.type === 'link_open') {
              const link = siteLink(root, here, token.attrGet('href')!, sources);
              if (link !== undefined) token.attrSet('href', link);
              else token.attrs = null;
            }
          }
        }
      });
    },
  },
  buildEnd() {
    for (const source of sources) {
      const copy = join(out, copyOf(source));
      mkdirSync(dirname(copy), { recursive: true });
      cpSync(join(root, source), copy);
    }
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      page('Guide', '/server'),
      page('Examples', '/examples/echo'),
      page('API', '/api/'),
      page('Performance', '/performance'),
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          page('A server', '/server'),
          page('A client', '/client'),
          page('A page', '/browser'),
          page('A Conn', '/conn'),
          page('Testing', '/testing'),
          page('Try it here', '/live'),
          page('OBS', '/obs'),
        ],
      },
      {
        text: 'Messages',
        items: [
          page('Streams', '/streams'),
          page('Backpressure', '/backpressure'),
          page('Rooms', '/rooms'),
          page('Slow clients', '/slow-clients'),
          page('Many nodes', '/many-nodes'),
          page('Compression', '/compression'),
          page('Borrowed bytes', '/borrowed-bytes'),
        ],
      },
      {
        text: 'Production',
        items: [
          page('Authentication', '/authentication'),
          page('Reverse proxies', '/reverse-proxies'),
          page('A proxy', '/proxy'),
          page('Deployment', '/deployment'),
          page('Scale', '/scale'),
          page('Limits', '/limits'),
          page('Security', '/security'),
          page('Attacks', '/attacks'),
          page('Diagnostics', '/diagnostics'),
          page('Performance', '/performance'),
        ],
      },
      {
        text: 'Failures',
        items: [page('Errors', '/errors'), page('Close codes', '/close-codes')],
      },
      {
        text: 'Inside',
        items: [
          page('Architecture', '/architecture'),
          page('The codec', '/codec'),
          page('Your own transport', '/custom-transports'),
          page('Without node:http', '/raw'),
          page('Runtimes', '/runtimes'),
        ],
      },
      {
        text: 'Coming from',
        items: [
          page('ws', '/from-ws'),
          page('ws, without a change', '/compat'),
          page('gorilla/websocket', '/from-gorilla'),
          page('melody', '/from-melody'),
          page('socket.io', '/from-socket-io'),
        ],
      },
      { text: 'Packages', collapsed: true, items: folders('packages', (name) => `@ws/${name}`) },
      { text: 'Examples', collapsed: true, items: folders('examples', (name) => name) },
      {
        text: 'The project',
        collapsed: true,
        items: [
          page('Contributing', '/contributing'),
          page('Benchmarks', '/bench'),
          page('Fuzzing', '/fuzz'),
          page('Code of conduct', '/code-of-conduct'),
        ],
      },
    ],
    footer: { message: 'MIT licensed.' },
  },
});
