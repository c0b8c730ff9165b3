import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { dial } from '@ws/node-client';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { folder, type Run, start } from './run.ts';

/** Starts `wsx listen` on a free port. It ends with the test. */
async function listening(...options: string[]): Promise<Run & { readonly url: string }> {
  return listeningAt('127.0.0.1', ...options);
}

async function listeningAt(
  host: string,
  ...options: string[]
): Promise<Run & { readonly url: string }> {
  const run = start(['listen', `${host}:0`, ...options]);
  whenOver(async () => {
    run.interrupt();
    expect(await run.code).toBe(0);
  });
  await run.until('listening on ');
  const [url = ''] = /\bwss?:\/\/\S+/.exec(run.err()) ?? [];
  return { ...run, url };
}

describe('wsx listen', () => {
  nothingLeft();

  it('prints the messages of every client and sends stdin to all', async () => {
    const run = await listening();
    const [a, b] = [await dial(run.url), await dial(run.url)];
    await a.send('from a');
    await run.until('from a\n');
    await b.send('from b');
    await run.until('from b\n');
    run.stdin.write('to all\n');
    expect((await a.readMessage()).text()).toBe('to all');
    expect((await b.readMessage()).text()).toBe('to all');
    run.interrupt();
    for (const conn of [a, b]) {
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1001 });
      expect(await conn.closed).toMatchObject({ code: 1001, wasClean: true });
    }
  });

  it('keeps stdin for the first client', async () => {
    const run = await listening();
    run.stdin.end('early\n');
    const conn = await dial(run.url);
    expect((await conn.readMessage()).text()).toBe('early');
    await conn.close();
  });

  it('names the client in JSON Lines', async () => {
    const run = await listening('--jsonl');
    const [a, b] = [await dial(run.url), await dial(run.url)];
    await a.send('x');
    await run.until('{"client":1,"type":"text","data":"x"}\n');
    await b.send(Uint8Array.of(255));
    await run.until('{"client":2,"type":"binary","data":"/w=="}\n');
    await a.close();
    await b.close();
  });

  it('prints long messages of two clients one after the other', async () => {
    const run = await listening();
    const [a, b] = [await dial(run.url), await dial(run.url)];
    const size = 3 * 1024 ** 2;
    await Promise.all([a.send('a'.repeat(size)), b.send('b'.repeat(size))]);
    await Promise.all([a.close(), b.close()]);
    while (run.out().length < 2 * (size + 1))
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(run.out().toString().trimEnd().split('\n').toSorted()).toEqual([
      'a'.repeat(size),
      'b'.repeat(size),
    ]);
  });

  it('sends each message back with --echo, short and long', async () => {
    const run = await listening('--echo');
    const conn = await dial(run.url);
    for (const length of [0, 1, 70_000, 1_000_000]) {
      await conn.send('e'.repeat(length));
      expect((await conn.readMessage()).text()).toBe('e'.repeat(length));
    }
    await conn.close();
  });

  it('reads stdin at the pace of the slowest client, and continues without it', async () => {
    const run = await listening('--ping', '0');
    const [fast, slow] = [await dial(run.url), await dial(run.url)];
    const lines = 64;
    const reading = (async () => {
      for (let i = 0; i < lines; i++) await fast.readMessage();
    })();
    let written = 0;
    const isBlocked = new Promise<void>((resolve) => {
      void (async () => {
        for (; written < lines; written++) {
          const timer = setTimeout(resolve, 500);
          if (!run.stdin.write(`${'x'.repeat(999_999)}\n`)) await once(run.stdin, 'drain');
          clearTimeout(timer);
        }
        resolve();
      })();
    });
    await isBlocked;
    expect(written).toBeLessThan(40);
    slow.terminate();
    await reading;
    await fast.close();
  });

  it('prints and echoes messages while another client is within a long one', async () => {
    const run = await listening('--echo');
    const [slow, conn] = [await dial(run.url), await dial(run.url)];
    const writer = await slow.nextWriter(1);
    await writer.write('a'.repeat(500_000));
    await conn.send('next');
    expect((await conn.readMessage()).text()).toBe('next');
    await run.until('next\n');
    expect(run.out().includes('a')).toBe(false);
    await writer.close();
    await run.until(`${'a'.repeat(500_000)}\n`);
    await conn.close();
    slow.terminate();
  });

  it('continues when a client breaks off within a message', async () => {
    const run = await listening();
    const [a, b] = [await dial(run.url), await dial(run.url)];
    const writer = await a.nextWriter(1);
    await writer.write('a'.repeat(2_000_000));
    await run.until('aaaa');
    a.terminate();
    await b.send('next');
    await run.until('a\nnext\n');
    await b.close();
  });

  it('refuses pages of other hosts, and names of others that lead to 127.0.0.1', async () => {
    const run = await listening('--origin', 'https://good.example');
    const login = (headers: Record<string, string>) => dial(run.url, { headers });
    await expect(login({ Origin: 'https://evil.example' })).rejects.toMatchObject({ status: 403 });
    const rebound = { Host: 'evil.example', Origin: 'http://evil.example' };
    await expect(login(rebound)).rejects.toMatchObject({ status: 421 });
    await (await login({ Origin: 'https://good.example' })).close();
  });

  // 127.0.0.2 stands for the address of a network. Other systems than Linux have no such address.
  it.runIf(process.platform === 'linux')(
    'refuses on other addresses too: pages under names that are not its own',
    async () => {
      const run = await listeningAt('127.0.0.2');
      const { host, port } = new URL(run.url);
      const page = (name: string) =>
        dial(run.url, { headers: { Host: name, Origin: `http://${name}` } });
      await expect(page(`evil.example:${port}`)).rejects.toMatchObject({ status: 421 });
      await expect(page('127.0.0.1.evil.example')).rejects.toMatchObject({ status: 421 });
      for (const name of [host, `[::1]:${port}`, hostname(), `LOCALHOST:${port}`]) {
        await (await page(name)).close();
      }
      // A program may use any name.
      await (await dial(run.url, { headers: { Host: 'devbox.example' } })).close();
    },
  );

  it.runIf(process.platform === 'linux').each([
    ['--user', 'ann:secret'],
    ['--origin', '*'],
  ])('admits other names with %s %s', async (...options) => {
    const run = await listeningAt('127.0.0.2', ...options);
    const headers = {
      Host: 'devbox.example',
      Origin: 'http://devbox.example',
      Authorization: `Basic ${btoa('ann:secret')}`,
    };
    await (await dial(run.url, { headers })).close();
  });

  it.runIf(process.platform === 'linux')(
    'admits pages of --origin, and no others under a foreign name',
    async () => {
      const run = await listeningAt('127.0.0.2', '--origin', 'https://good.example');
      const page = (headers: Record<string, string>) => dial(run.url, { headers });
      await (await page({ Host: 'devbox.example', Origin: 'https://good.example' })).close();
      const rebound = { Host: 'evil.example', Origin: 'http://evil.example' };
      await expect(page(rebound)).rejects.toMatchObject({ status: 421 });
    },
  );

  it('asks for a login with --user', async () => {
    const run = await listening('--user', 'ann:secret', '--header', 'X-Served: wsx');
    await expect(dial(run.url)).rejects.toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="wsx"' },
    });
    const basic = (text: string) => ({ Authorization: `Basic ${btoa(text)}` });
    await expect(dial(run.url, { headers: basic('ann:wrong') })).rejects.toMatchObject({
      status: 401,
    });
    const conn = await dial(run.url, { headers: basic('ann:secret') });
    expect(conn.response.headers).toMatchObject({ 'x-served': 'wsx' });
    await conn.close();
  });

  it('says that a port is in use', async () => {
    const { url } = await listening();
    const run = start(['listen', new URL(url).host]);
    expect(await run.code).toBe(8);
    await run.until('the address is in use');
  });
});

describe('wsx listen --static', () => {
  nothingLeft();

  const FILES = {
    'secret.txt': 'secret',
    'root-too/secret.txt': 'secret',
    'root/index.html': '<title>hi</title>',
    'root/sub folder/a b.js': 'let a;',
    'root/empty.css': '',
    'root/.env': 'secret',
  };
  const LINKS = {
    'link.txt': '../secret.txt',
    'inner.html': 'index.html',
    'hidden.txt': '.env',
    outer: '..',
  };

  function site(): string {
    const outer = folder();
    const root = join(outer, 'root');
    mkdirSync(join(root, 'sub folder'), { recursive: true });
    mkdirSync(join(outer, 'root-too'));
    for (const [path, text] of Object.entries(FILES)) writeFileSync(join(outer, path), text);
    for (const [path, to] of Object.entries(LINKS)) symlinkSync(to, join(root, path));
    return root;
  }

  /** fetch would normalize the paths. */
  function get(url: string, path: string, method = 'GET', headers = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = new URL(url);
      const agent = false;
      const req = request({ hostname, port, path, method, headers, agent }, (res) => {
        let body = '';
        res.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        const { 'content-type': type = '', location = '' } = res.headers;
        res.on('end', () => resolve([res.statusCode, type + location, body].join(' ')));
      });
      req.on('error', reject);
      req.end();
    });
  }

  it('serves files, and the page may connect', async () => {
    const run = await listening('--static', site());
    expect(await get(run.url, '/')).toBe('200 text/html; charset=utf-8 <title>hi</title>');
    expect(await get(run.url, '/inner.html?x=/../')).toContain('200 text/html');
    expect(await get(run.url, '/sub%20folder/a%20b.js')).toBe(
      '200 text/javascript; charset=utf-8 let a;',
    );
    expect(await get(run.url, '/sub%20folder')).toBe('308 /sub%20folder/ ');
    expect(await get(run.url, '/empty.css', 'HEAD')).toBe('200 text/css; charset=utf-8 ');
    const conn = await dial(run.url, { headers: { Origin: run.url.replace('ws', 'http') } });
    await conn.close();
  });

  it.each([
    '/../secret.txt',
    '/sub%20folder/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e%2fsecret.txt',
    '/..%5csecret.txt',
    '/../root-too/secret.txt',
    '//../secret.txt',
    '/link.txt',
    '/outer/secret.txt',
    '/hidden.txt',
    '/%2eenv',
    '/sub%20folder%2f..%2f.env',
    '/.env',
    '/./index.html',
    '/index.html%00.js',
    '/%',
    '/nothing',
    'http://x/../secret.txt',
  ])('does not serve %s', async (path) => {
    const run = await listening('--static', site());
    expect(await get(run.url, path)).toMatch(/^404 .* no such file\n$/);
  });

  it('refuses other methods, other hosts and a missing login', async () => {
    const run = await listening('--static', site(), '--user', 'a:b');
    const headers = { Authorization: `Basic ${btoa('a:b')}` };
    expect(await get(run.url, '/')).toMatch(/^401/);
    expect(await get(run.url, '/', 'POST', headers)).toMatch(/^405/);
    expect(await get(run.url, '/', 'GET', { ...headers, Host: 'evil.example' })).toMatch(/^421/);
    expect(await get(run.url, '/', 'GET', headers)).toMatch(/^200/);
  });

  it.runIf(process.platform === 'linux')(
    'refuses foreign names on other addresses too, where a page could read the files',
    async () => {
      const run = await listeningAt('127.0.0.2', '--static', site());
      expect(await get(run.url, '/', 'GET', { Host: 'evil.example' })).toMatch(/^421/);
      expect(await get(run.url, '/', 'GET', { Host: new URL(run.url).host })).toMatch(/^200/);
    },
  );

  it('says that there is no such folder', async () => {
    const run = start(['listen', '0', '--static', '/nowhere']);
    expect(await run.code).toBe(8);
    await run.until('--static /nowhere: no such file');
  });
});
