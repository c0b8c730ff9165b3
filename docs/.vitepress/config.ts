import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type DefaultTheme, defineConfig } from 'vitepress';
import { anchorOf, copyOf, fromRoot, type Sources, siteLink, sitePath } from './links.ts';
import { textsOf } from './texts.ts';
import { showsTypes, typesOnHover } from './types.ts';

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

const title = '@ws packages';
const description =
  'WebSockets for Node and TypeScript: fast, bounded, with backpressure and streams';

const sidebar: DefaultTheme.SidebarItem[] = [
  {
    text: 'Start',
    items: [
      page('Which page?', '/overview'),
      page('Entry points', '/entry-points'),
      page('1. A server', '/server'),
      page('2. A client', '/client'),
      page('3. A page', '/browser'),
      page('4. Tests', '/testing'),
      page('5. Production', '/production'),
    ],
  },
  {
    text: 'Tasks',
    items: [
      page('Rooms and users', '/rooms'),
      page('Rooms for clients', '/client-rooms'),
      page('Who is there', '/presence'),
      page('Requests and answers', '/rpc'),
      page('The wire', '/wire'),
      page('Log in', '/login'),
      page('Frameworks', '/frameworks'),
      page('Deploy', '/deployment'),
      page('Run behind nginx', '/reverse-proxies'),
      page('Restart', '/restart'),
      page('Monitor a server', '/monitoring'),
      page('Choose limits', '/limits'),
      page('Compared', '/compared'),
      page('Migrate from ws', '/from-ws'),
      page('Swap ws by one line', '/compat'),
      page('Migrate from socket.io', '/from-socket-io'),
      page('Migrate from gorilla/websocket', '/from-gorilla'),
      page('Migrate from melody', '/from-melody'),
      page('Control OBS Studio', '/obs'),
      page('Use a terminal', '/wsx'),
    ],
  },
  {
    text: 'Failures',
    items: [
      page('Error messages', '/error-messages'),
      page('Errors', '/errors'),
      page('Close codes', '/close-codes'),
    ],
  },
  {
    text: 'Connections',
    items: [
      page('A Conn', '/conn'),
      page('Try it here', '/live'),
      page('Streams', '/streams'),
      page('Slow peers', '/backpressure'),
      page('Compression', '/compression'),
      page('Borrowed bytes', '/borrowed-bytes'),
    ],
  },
  {
    text: 'Production',
    items: [
      page('Many nodes', '/many-nodes'),
      page('A proxy', '/proxy'),
      page('Every runtime', '/fetch'),
      page('Scale', '/scale'),
      page('Security', '/security'),
      page('Promises', '/promises'),
      page('Attacks', '/tests/attacks'),
      page('Performance', '/performance'),
    ],
  },
  {
    text: 'Inside',
    items: [
      page('Architecture', '/architecture'),
      page('The codec', '/codec'),
      page('Your own transport', '/custom-transports'),
      page('Without node:http', '/raw'),
      page('Runtimes', '/runtimes'),
      page('What was tested', '/conformance'),
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
      page('Conformance', '/ws-conform'),
      page('Fuzzing', '/fuzz'),
      page('Code of conduct', '/code-of-conduct'),
    ],
  },
];

export default defineConfig({
  title,
  description,
  lang: 'en',
  // The pages of the repository: READMEs next to the code, the rest in docs/.
  srcDir: '..',
  srcExclude: [
    'README.md',
    'api/**',
    '**/CHANGELOG.md',
    '.changeset/**',
    '.github/**',
    '**/dist/**',
  ],
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
    anchor: { slugify: anchorOf },
    languageAlias: { haproxy: 'nginx' },
    codeTransformers: [typesOnHover(root)],
    config(md) {
      md.core.ruler.push('types on hover', ({ env, tokens }) => {
        if (!showsTypes(env.relativePath)) return;
        for (const token of tokens) {
          if (token.type === 'fence' && /^ts\b/.test(token.info)) token.info += ' twoslash';
        }
      });
      md.core.ruler.push('links of the repository', ({ env, tokens }) => {
        const here = fromRoot(root, env.realPath ?? env.path);
        for (const { children } of tokens) {
          for (const token of children ?? []) {
            if (token.type === 'image') {
              // A bound attribute: the bundler would import the file otherwise.
              const copy = siteLink(root, here, token.attrGet('src')!, sources);
              token.type = 'html_inline';
              const alt = md.utils.escapeHtml(token.content);
              const image = `<img :src="'${copy}'" alt="${alt}">`;
              // Focusable, so that the arrow keys scroll it.
              const picture = `<span class="picture" role="group" tabindex="0" aria-label="${alt}">`;
              const wide = /\/(?:charts|diagrams)\//.test(copy ?? '');
              token.content = wide ? `${picture}${image}</span>` : image;
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
  buildEnd({ rewrites }) {
    for (const source of sources) {
      const copy = join(out, copyOf(source));
      mkdirSync(dirname(copy), { recursive: true });
      cpSync(join(root, source), copy);
    }
    const head = `# ${title}\n\n> ${description}\n\n[All pages in one file](docs.txt)`;
    const { list, text } = textsOf(root, sidebar, head, (page) => rewrites.inv[page] ?? page);
    writeFileSync(join(out, 'llms.txt'), list);
    writeFileSync(join(out, 'docs.txt'), text);
  },
  themeConfig: {
    search: {
      provider: 'local',
      options: {
        miniSearch: {
          searchOptions: {
            // Guides come first, then results and lists. The text of this function goes
            // into the page, so it uses no name of this file.
            boostDocument: (id: string) => {
              if (/^\/(?:api|bench|fuzz|maintainers|tests)\b/.test(id)) return 0.05;
              return /^\/(?:compat|conf|contrib|examples|from|packages|perf|scale)/.test(id)
                ? 0.2
                : 1;
            },
          },
        },
      },
    },
    outline: [2, 3],
    nav: [
      page('Guide', '/entry-points'),
      page('Examples', '/examples/echo'),
      page('API', '/api/'),
      page('Performance', '/performance'),
    ],
    sidebar,
    footer: { message: 'MIT licensed.' },
  },
});
