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
  const html = readFileSync(file);
  const bodies = new Map<string | undefined, { type: string; body: Uint8Array }>([
    ['/', { type: 'text/html', body: html }],
    ['/websocket.js', { type: 'text/javascript', body: await client() }],
  ]);
  const headers = {
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': policy(html.toString()),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
  };
  return (req, res) => {
    const [path] = (req.url ?? '/').split('?', 1);
    const found = bodies.get(path);
    if (found === undefined) refuse(res, 404, 'not found\n');
    else if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      refuse(res, 405, 'only GET and HEAD\n');
    } else {
      const { type, body } = found;
      res
        .writeHead(200, {
          ...headers,
          'Content-Type': `${type}; charset=utf-8`,
          'Content-Length': body.length,
        })
        .end(req.method === 'HEAD' ? undefined : body);
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

function refuse(res: Parameters<RequestListener>[1], status: number, text: string): void {
  res
    .writeHead(status, {
      'Content-Type': 'text/plain; charset=utf-8',
      'X-Content-Type-Options': 'nosniff',
    })
    .end(text);
}

/** Allows the page's script and style by their hashes, so that injected code does not run. */
function policy(html: string): string {
  return [
    `default-src 'none'`,
    `script-src ${hashOf(html, 'script')} 'self'`,
    `style-src ${hashOf(html, 'style')}`,
    `connect-src 'self'`,
    `img-src data:`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ].join('; ');
}

function hashOf(html: string, tag: string): string {
  const inside = html.match(new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`))?.[1];
  if (inside === undefined) throw new Error(`the page has no <${tag}>`);
  return `'sha256-${createHash('sha256').update(inside).digest('base64')}'`;
}
