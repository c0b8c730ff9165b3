import { inspect } from 'node:util';
import {
  type DialAddress,
  Dialer,
  type DialerOptions,
  proxyFromEnvironment,
} from '@ws/node-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { atMost, claim, KIB, survives } from './harness/index.ts';
import {
  Dials,
  HostileServer,
  msUntilSettled,
  type RequestHandler,
  receivedRequest,
  writeForever,
} from './hostile-server.ts';

const GRANTED = 'HTTP/1.1 200 Connection established\r\n\r\n';
const silent = (): void => {};

/** Returns a proxy that grants every tunnel with `grant`, and is also the server at its end. */
function tunnel(grant: string, server: RequestHandler): RequestHandler {
  return (end) => {
    let text = '';
    end.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.endsWith('\r\n\r\n')) server(end, receivedRequest(text));
    });
    end.write(grant, 'latin1');
  };
}

const opens: RequestHandler = (end, { ok }) => void end.write(ok());

describe('a client behind a proxy', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllEnvs();
  });

  it('ignores a proxy that a request header names', async () => {
    for (const name of ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy']) {
      vi.stubEnv(name, undefined);
      vi.stubEnv(name.toUpperCase(), undefined);
    }
    vi.stubEnv('REQUEST_METHOD', 'GET');
    vi.stubEnv('HTTP_PROXY', 'http://attacker:3128');
    const attack = claim(
      'an HTTP_PROXY that comes from a request header (httpoxy)',
      'CVE-2016-5385',
    );
    await survives(attack, { proxied: 0, warmUps: 10 }, async () => {
      let proxied = 0;
      const dials = new Dials();
      for (const scheme of ['ws', 'http']) {
        const netDial = ({ host }: DialAddress) => {
          if (host === 'attacker') proxied++;
          return new HostileServer(opens).netDial();
        };
        await dials.take(new Dialer({ proxy: 'env', netDial }).dial(`${scheme}://h/`));
      }
      expect(dials.opened).toBe(2);
      // Entries of NO_PROXY that must not match the server.
      const lists = ['h.evil', '.evil', 'ample', 'xh', 'h:81', '10.0.0.0/8', '[', '/', '%68', 'h;'];
      for (const NO_PROXY of lists) {
        const env = { http_proxy: 'http://ours:3128', HTTP_PROXY: 'http://attacker', NO_PROXY };
        const proxy = proxyFromEnvironment('ws://h/', { REQUEST_METHOD: 'GET', ...env });
        expect(proxy?.host).toBe('ours:3128');
      }
      return { proxied };
    });
    vi.stubEnv('REQUEST_METHOD', undefined);
    expect(proxyFromEnvironment('ws://h/')?.host).toBe('attacker:3128');
  });

  it('rejects invalid answers to CONNECT, and keeps the bytes after a valid one', async () => {
    const proxy = new URL('http://proxy:3128');
    let ms = 0;
    const dialed = async (answer: RequestHandler | string, url: string): Promise<Dials> => {
      const dials = new Dials();
      const server = new HostileServer(answer);
      const took = dials.take(new Dialer({ proxy, netDial: server.netDial }).dial(url));
      ms = Math.max(ms, await msUntilSettled(took));
      await took;
      expect(server.left).toBe(0);
      return dials;
    };
    const evil: readonly (readonly [answer: string, url: string])[] = [
      [`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello`, 'wss://h/'],
      [`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello`, 'ws://h/'],
      [`HTTP/1.1 200 OK\r\n\r\n<html>`, 'wss://h/'],
      [`HTTP/1.1 200 OK\r\n\r\n<html>`, 'ws://h/'],
      [`HTTP/1.1 304 No\r\n\r\n`, 'wss://h/'],
      [`HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n`, 'ws://h/'],
      ['\x16\x03\x01\x00\x00', 'wss://h/'],
      ['200 OK\r\n\r\n', 'ws://h/'],
    ];
    const attack = claim('invalid and oversized answers to CONNECT', 'RFC 9110, 9.3.6');
    const bound = { opened: 0, untouched: 'untouched', head: atMost(64 * KIB), ms: atMost(45_000) };
    await survives(attack, bound, async (watch) => {
      let opened = 0;
      for (const [answer, url] of evil) opened += (await dialed(answer, url)).opened;
      const line = Buffer.from(`X-A: ${'a'.repeat(1000)}\r\n`);
      const flood = await dialed((end) => {
        end.write('HTTP/1.1 200 OK\r\n');
        writeForever(end, line, watch);
      }, 'wss://h/');
      opened += flood.opened;

      let head = 0;
      for (const size of [65_000, 65_537]) {
        const empty = 'HTTP/1.1 200 OK\r\nX: \r\n\r\n';
        const grant = empty.replace('X: ', `X: ${'a'.repeat(size - empty.length)}`);
        const dials = await dialed(tunnel(grant, opens), 'ws://h/');
        if (dials.opened === 1) head = size;
      }
      expect(head).not.toBe(0);

      // The bytes after the grant are the beginning of the server's answer.
      const begun = 'HTTP/1.1 101 Switching Protocols\r\n';
      const untouched = await dialed(
        tunnel(`${GRANTED}${begun}`, (end, { ok }) => void end.write(ok().slice(begun.length))),
        'ws://h/',
      );

      opened += (await dialed('HTTP/1.1 200 OK\r\nX: y\r\n', 'wss://h/')).opened;
      return { opened, head, untouched: untouched.opened === 1 ? 'untouched' : 'changed', ms };
    });
  });

  it('sends its credentials only to the proxy, and shows them in no message', async () => {
    // The credentials as in the URL, decoded once, and decoded twice.
    const userInfo = 'us%2540er:pa%2525ss%3Aword';
    const once = 'us%40er:pa%25ss:word';
    const words = ['us%40er', 'us@er', 'us%2540er', 'pa%25ss', 'pa%ss', 'pa%2525ss', btoa(once)];
    const attack = claim('credentials in the URL of a proxy', 'CWE-522');
    await survives(attack, { decoded: 'Percent-decoded once', leaks: 0 }, async () => {
      const told: string[] = [];
      const asks: string[] = [];
      const dial = async (
        answer: RequestHandler | string,
        options: DialerOptions = {},
        url = 'ws://h/',
      ): Promise<void> => {
        const dials = new Dials();
        const { netDial } = new HostileServer((end, request) => {
          asks.push(request.text);
          if (typeof answer === 'string') end.write(answer);
          else answer(end, request);
        });
        const proxy = new URL(`http://${userInfo}@proxy:3128`);
        const dialer = new Dialer({ proxy, netDial, followRedirects: 1, ...options });
        const took = dials.take(dialer.dial(url));
        await msUntilSettled(took);
        await took;
        for (const error of dials.errors) told.push(inspect(error, { depth: 5 }), String(error));
      };
      const served = (answer: RequestHandler): RequestHandler =>
        tunnel(GRANTED, (end, request) => {
          told.push(request.text);
          answer(end, request);
        });
      await dial(served(opens));
      await dial(served((end) => end.write('HTTP/1.1 302 F\r\nLocation: ws://other/\r\n\r\n')));
      await dial('HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n');
      await dial('not HTTP');
      await dial(silent, {
        netDial: () => {
          throw new Error('no way to the proxy');
        },
      });
      await dial(silent, {}, `ws://${userInfo}@h/`);
      for (const url of [`ftp://${userInfo}@proxy/`, `http://${userInfo}@proxy:0/`]) {
        try {
          told.push(String(proxyFromEnvironment('ws://h/', { http_proxy: url })));
        } catch (error) {
          told.push(inspect(error));
        }
      }
      const heads = asks.map((text) => /Proxy-Authorization: Basic (\S+)/i.exec(text)?.[1] ?? '');
      const sent = new Set(heads.map((value) => atob(value)));
      expect(asks.length).toBeGreaterThan(3);
      expect(told.length).toBeGreaterThan(8);
      const leaks = words.filter((word) => told.some((text) => text.includes(word)));
      const decoded = sent.size === 1 && sent.has(once) ? 'Percent-decoded once' : [...sent].join();
      return { decoded, leaks: leaks.length };
    });
  });
});
