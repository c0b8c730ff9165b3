import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import process from 'node:process';
import { type CloseInfo, type Conn, serve, type WsServer } from '@ws/node-server';

const STANDALONE = join(import.meta.dirname, '../dist/standalone.js');
/** No script of the page's text, and no eval. */
const POLICY =
  "default-src 'none'; img-src data:; script-src 'self'; connect-src 'self' ws://127.0.0.1:*";
const PAGE =
  '<!doctype html><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">';

/** Whether the module for pages is missing; prints the reason. */
export function lacksStandalone(): boolean {
  if (existsSync(STANDALONE) || process.env['WS_BUILT'] !== undefined) return false;
  console.log('skipped: @ws/browser in a page; not built, pnpm build does it');
  return true;
}

/** A site with the built module, and servers for a page. */
export interface Site {
  readonly url: string;
  readonly server: WsServer;
  /** How the next connection ended, in the order of their starts. */
  nextEnd(): Promise<CloseInfo>;
  /** Number of HTTP requests. */
  readonly asked: number;
  /** How often `/orders` got each id. */
  readonly orders: ReadonlyMap<string, number>;
}

/** Starts a {@link Site}. Port 0 is any. */
export async function startSite(port = 0): Promise<Site> {
  const ends: Promise<CloseInfo>[] = [];
  const orders = new Map<string, number>();
  let asked = 0;
  const request = (req: IncomingMessage, res: ServerResponse): void => {
    asked++;
    answer(req, res);
  };
  const watch = (conn: Conn): void => {
    ends.push(conn.closed);
  };
  const server = await serve(
    { port, host: '127.0.0.1', request, readLimit: 64 * 2 ** 20, heartbeat: false },
    {
      '/echo': (conn) => {
        watch(conn);
        return conn.receive((message) => conn.send(message));
      },
      '/close/:code': async (conn, _req, { params }) => {
        watch(conn);
        await conn.close(Number(params.code), 'of the server');
      },
      '/gone': async (conn) => {
        watch(conn);
        await conn.readMessage();
        conn.terminate();
      },
      '/count/:count': async (conn, _req, { params }) => {
        watch(conn);
        for (let i = 0; i < Number(params.count); i++) await conn.send(String(i));
        await conn.close();
      },
      // Answers once it has read so many bytes.
      '/read/:bytes': async (conn, _req, { params }) => {
        watch(conn);
        let left = Number(params.bytes);
        for await (const message of conn) {
          left -= message.data.length;
          if (left === 0) await conn.send('all');
        }
      },
      // 4 MiB, and then nothing: the events of an endless flood can keep Firefox from closing.
      '/burst': async (conn) => {
        watch(conn);
        for (let i = 0; i < 64; i++) await conn.send(new Uint8Array(64 * 1024));
        await conn.discardReads();
      },
      // Asks, and acknowledges the answer after 2 MiB.
      '/ask': async (conn) => {
        watch(conn);
        await conn.send('ask');
        for await (const message of conn) {
          for (let i = 0; i < 2; i++) await conn.send(new Uint8Array(2 ** 20));
          await conn.send(`ack ${message.text().split(':')[0]}`);
        }
      },
      // Acknowledges each id, and breaks each connection before its 30th acknowledgement.
      '/orders': async (conn) => {
        watch(conn);
        let left = 30;
        for await (const message of conn) {
          const [id = ''] = message.text().split(':');
          orders.set(id, (orders.get(id) ?? 0) + 1);
          if (--left === 0) conn.terminate();
          else await conn.send(`ack ${id}`);
        }
      },
    },
  );
  return {
    url: server.url.replace(/^ws/, 'http'),
    server,
    get asked() {
      return asked;
    },
    orders,
    nextEnd: () => ends.shift() ?? Promise.reject(new Error('no connection')),
  };
}

function answer(req: IncomingMessage, res: ServerResponse): void {
  if (req.url === '/no-content') return void res.writeHead(204).end();
  if (req.url === '/file') {
    res.setHeader('Content-Disposition', 'attachment; filename=file.bin');
    res.setHeader('Content-Type', 'application/octet-stream');
    return void res.end('x');
  }
  const isModule = req.url === '/standalone.js';
  res.setHeader('Content-Security-Policy', POLICY);
  res.setHeader('Content-Type', isModule ? 'text/javascript' : 'text/html');
  res.end(isModule ? readFileSync(STANDALONE) : PAGE);
}

/**
 * Waits for a condition in a page. A polled script of the driver would need `unsafe-eval`, which the
 * site's policy forbids.
 */
export async function until(
  page: { evaluate(script: string): Promise<unknown> },
  condition: string,
): Promise<void> {
  await page.evaluate(`new Promise((done) => {
    const look = () => (${condition} ? done() : setTimeout(look, 10));
    look();
  })`);
}
