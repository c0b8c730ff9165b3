import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { build } from 'esbuild';

/**
 * Serves one HTML file on `/`, and the client that it imports, under a policy that allows only
 * these scripts and the style of the file.
 *
 * @param file - Read once, during the call.
 */
export async function page(file: URL): Promise<RequestListener> {
  const html = readFileSync(file, 'utf8');
  const bodies = new Map<string | undefined, { type: string; body: Uint8Array }>([
    ['/', { type: 'text/html', body: Buffer.from(html) }],
    ['/websocket.js', { type: 'text/javascript', body: await client() }],
  ]);
  const headers = {
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': policy(html),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  };
  return ({ url = '/', method = '' }, res) => {
    const found = bodies.get(url.split('?', 1)[0]);
    const isRead = ['GET', 'HEAD'].includes(method);
    if (found === undefined) res.writeHead(404, headers).end('not found\n');
    else if (!isRead)
      res.writeHead(405, { ...headers, Allow: 'GET, HEAD' }).end('only GET and HEAD\n');
    else {
      const type = `${found.type}; charset=utf-8`;
      const length = { 'Content-Length': found.body.length };
      res.writeHead(200, { ...headers, ...length, 'Content-Type': type });
      res.end(method === 'HEAD' ? undefined : found.body);
    }
  };
}

/** The client of the page: one ES module. In the workspace it is made of the sources. */
async function client(): Promise<Uint8Array> {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        export { ReconnectingConn } from '@ws/browser';
        export { roomsOf, START } from '@ws/rpc/rooms';
        export { people } from './protocol.ts';
      `,
      resolveDir: import.meta.dirname,
    },
    conditions: ['@ws/source'],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  });
  return outputFiles[0]!.contents;
}

/** Allows the page's script and style by their hashes, so that injected code does not run. */
function policy(html: string): string {
  const self = "default-src 'none'; connect-src 'self'; img-src data:";
  const nothing = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  const own = `script-src ${hashOf(html, 'script')} 'self'; style-src ${hashOf(html, 'style')}`;
  return `${self}; ${own}; ${nothing}`;
}

function hashOf(html: string, tag: string): string {
  const inside = html.match(new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`))?.[1];
  if (inside === undefined) throw new Error(`the page has no <${tag}>`);
  return `'sha256-${createHash('sha256').update(inside).digest('base64')}'`;
}
