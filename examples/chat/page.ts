import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';

/**
 * Serves one HTML file on `/`, under a policy that allows only its own script and style.
 *
 * @param file - Read once, during the call.
 */
export function page(file: URL): RequestListener {
  const html = readFileSync(file);
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': html.length,
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
    if (path !== '/') refuse(res, 404, 'not found\n');
    else if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      refuse(res, 405, 'only GET and HEAD\n');
    } else res.writeHead(200, headers).end(req.method === 'HEAD' ? undefined : html);
  };
}

function refuse(res: Parameters<RequestListener>[1], status: number, text: string): void {
  res
    .writeHead(status, {
      'Content-Type': 'text/plain; charset=utf-8',
      'X-Content-Type-Options': 'nosniff',
    })
    .end(text);
}

/** Allows the script and the style by their hashes, so that injected code does not run. */
function policy(html: string): string {
  return [
    `default-src 'none'`,
    `script-src ${hashOf(html, 'script')}`,
    `style-src ${hashOf(html, 'style')}`,
    `connect-src 'self'`,
    `img-src data:`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ].join('; ');
}

function hashOf(html: string, tag: string): string {
  const inside = html.match(new RegExp(`<${tag}>([^]*?)</${tag}>`))?.[1];
  if (inside === undefined) throw new Error(`the page has no <${tag}>`);
  return `'sha256-${createHash('sha256').update(inside).digest('base64')}'`;
}
