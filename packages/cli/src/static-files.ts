import { createReadStream, realpathSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream';
import { inputOutput } from './failure.ts';
import { hostOf, OTHER_NAME } from './own-hosts.ts';

const TYPES: ReadonlyMap<string, string> = new Map([
  ['.css', 'text/css; charset=utf-8'],
  ['.gif', 'image/gif'],
  ['.html', 'text/html; charset=utf-8'],
  ['.ico', 'image/x-icon'],
  ['.jpg', 'image/jpeg'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.json', 'application/json'],
  ['.mjs', 'text/javascript; charset=utf-8'],
  ['.png', 'image/png'],
  ['.svg', 'image/svg+xml'],
  ['.txt', 'text/plain; charset=utf-8'],
  ['.wasm', 'application/wasm'],
  ['.webp', 'image/webp'],
  ['.woff2', 'font/woff2'],
]);

/**
 * Serves the files of a folder. No path leads out of it: not by `..`, not by an escape, not by a
 * symbolic link. Files whose names start with a dot are not served.
 *
 * @param isOwn - Whether the server answers to a host, without a port.
 * @param admits - Checks the login.
 * @throws Failure when there is no such folder.
 */
export function staticFiles(
  folder: string,
  isOwn: (host: string) => boolean,
  admits: ((req: IncomingMessage) => boolean) | undefined,
): RequestListener {
  let root: string;
  try {
    // The separator at the end makes it fail for a file.
    root = realpathSync(folder + sep);
  } catch (error) {
    throw inputOutput(`--static ${folder}`, error);
  }
  return (req, res) => {
    if (!isOwn(hostOf(req.headers))) return refuse(res, 421, OTHER_NAME);
    if (admits !== undefined && !admits(req)) {
      res.setHeader('WWW-Authenticate', 'Basic realm="wsx"');
      return refuse(res, 401, 'log in');
    }
    if (req.method !== 'GET' && req.method !== 'HEAD') return refuse(res, 405, 'use GET or HEAD');
    answer(root, req, res).catch(() => refuse(res, 404, 'no such file'));
  };
}

async function answer(root: string, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const path = decodeURIComponent(/^[^?#]*/.exec(req.url ?? '')![0]);
  if (!path.startsWith('/') || /[\\\0]/.test(path) || isHidden(path, '/')) {
    throw new Error('a hidden file, or a path out of the folder');
  }
  const file = await realpath(join(root, path.endsWith('/') ? `${path}index.html` : path));
  if (!file.startsWith(root.endsWith(sep) ? root : root + sep)) throw new Error('a link out of it');
  if (isHidden(file.slice(root.length), sep)) throw new Error('a link to a hidden file');
  const found = await stat(file);
  if (found.isDirectory()) {
    // Relative to the host, and never to another one: `//` would name a host.
    res.writeHead(308, {
      Location: `${path.replace(/^\/+/, '/').replaceAll(/[^/]+/g, encodeURIComponent)}/`,
    });
    res.end();
    return;
  }
  // A pipe or a device would never end.
  if (!found.isFile()) throw new Error('no file');
  res.writeHead(200, {
    'Content-Type': TYPES.get(extname(file).toLowerCase()) ?? 'application/octet-stream',
    'Content-Length': found.size,
    'Cache-Control': 'no-cache',
    'X-Content-Type-Options': 'nosniff',
  });
  if (req.method === 'HEAD' || found.size === 0) {
    res.end();
    return;
  }
  // A file that grows meanwhile does not exceed its Content-Length.
  pipeline(createReadStream(file, { end: found.size - 1 }), res, () => {});
}

/** Whether a part of a path starts with a dot, as `.env` and `..` do. */
function isHidden(path: string, separator: string): boolean {
  return path.split(separator).some((name) => name.startsWith('.'));
}

function refuse(res: ServerResponse, status: number, text: string): void {
  if (res.headersSent) return void res.destroy();
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  res.end(`${text}\n`);
}
