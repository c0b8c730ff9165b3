import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { type DialAddress, Dialer, type DialerOptions } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { Answerer, Dials } from './answering.ts';
import { warm } from './warm.ts';

/** Where dials went, with servers in memory that open whatever is asked. */
class Route {
  readonly addresses: string[] = [];
  readonly requests: string[] = [];
  readonly #server = new Answerer((end, { text, ok }) => {
    this.requests.push(text.slice(0, text.indexOf('\r\n')));
    end.write(ok());
  });
  readonly netDial = (address: DialAddress): Duplex => {
    this.addresses.push(String(address));
    return this.#server.netDial();
  };
}

describe('a client that is given a URL', () => {
  it('refuses what is malformed, and asks nobody', async () => {
    const urls = [
      'file:///etc/passwd',
      'ftp://h/',
      'javascript:alert(1)',
      'h/path',
      '//h/path',
      '',
      'ws:',
      'ws://',
      'ws:///path',
      'ws://:80/',
      'ws:h/',
      'ws://user@h/',
      'ws://user:pass@h/',
      'wss://:pass@h/',
      'ws://h/a\rb',
      'ws://h/a\r\nHost: evil',
      'ws://h\n/',
      'ws://h/\0',
      'ws://[fe80::1%25eth0]/',
      'ws://[fe80::1%eth0]/',
      'ws://[::1/',
      'ws://h:0/',
      'ws://h:65536/',
      'ws://h:-1/',
      'ws://h:x/',
      'ws://h\\@evil/',
      'ws://a b/',
      'ws://0x7f.1/',
      'ws://2130706433/',
      ' ws://h/',
      'ws+unix:relative.sock:/',
    ];
    const taken: readonly (readonly [url: string, address: string, request: string])[] = [
      ['http://h/a?b', 'h:80', 'GET /a?b HTTP/1.1'],
      ['https://h', 'h:443', 'GET / HTTP/1.1'],
      ['ws://h/a#secret', 'h:80', 'GET /a HTTP/1.1'],
      ['wss://[::1]:8443/', '[::1]:8443', 'GET / HTTP/1.1'],
    ];
    const attack = await warm(async () => {
      const route = new Route();
      const dialer = new Dialer({ netDial: route.netDial, netDialTLS: route.netDial });
      const refused = new Dials();
      for (const url of urls) await refused.take(dialer.dial(url));
      for (const error of refused.errors) expect(error).toBeInstanceOf(SyntaxError);
      expect(route.addresses).toEqual([]);

      const good = new Dials();
      for (const [url] of taken) await good.take(dialer.dial(url));
      expect(good.errors).toEqual([]);
      expect(route.addresses).toEqual(taken.map(([, address]) => address));
      expect(route.requests).toEqual(taken.map(([, , request]) => request));
      return { cases: refused.errors.length, opened: refused.opened };
    });
    await survives(47, attack);
  });

  it('connects to no address that a hook of the application refuses', async () => {
    const forbidden = new Set(['169.254.169.254', '127.0.0.1']);
    const resolved: Readonly<Record<string, string>> = { 'rebound.example': '169.254.169.254' };
    let reached = 0;
    /** A filter as an application would write it: on the address itself, and on what a name stands for. */
    const netDial = (address: DialAddress): Duplex => {
      if (forbidden.has(address.host)) throw new Error(`${address.host} is not for users`);
      const socket = connect({
        ...address,
        lookup: (name, _options, callback) => {
          const ip = resolved[name]!;
          callback(forbidden.has(ip) ? new Error(`${ip} is not for users`) : null, ip, 4);
        },
      });
      socket.once('connect', () => reached++);
      return socket;
    };
    const to = (url: string): DialerOptions['netDial'] => {
      const redirecting = new Answerer(
        `HTTP/1.1 302 F\r\nLocation: ${url}\r\nContent-Length: 0\r\n\r\n`,
      );
      return (address) => (address.host === 'start' ? redirecting.netDial() : netDial(address));
    };
    await survives(48, async () => {
      const dials = new Dials();
      for (const target of ['ws://169.254.169.254/latest', 'ws://rebound.example/']) {
        await dials.take(new Dialer({ netDial }).dial(target));
        await dials.take(
          new Dialer({ netDial: to(target), followRedirects: 5 }).dial('ws://start/'),
        );
      }
      for (const error of dials.errors) {
        expect(error.cause).toMatchObject({ message: '169.254.169.254 is not for users' });
      }
      expect(dials.errors).toHaveLength(4);
      return { reached: reached + dials.opened };
    });
  });

  it('gives the jar the URL that cookies are for, and every cookie as it came', async () => {
    const cookies = [
      'a=1; Domain=example',
      'b=2; Domain=com',
      'c=3; Path=/other',
      'd=4; Secure',
      '__Host-e=5; Domain=example.com',
    ];
    const lines = cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join('');
    await survives(49, async () => {
      const asked = new Set<string>();
      const kept: string[] = [];
      const jar = {
        getCookieString: (url: string) => {
          asked.add(url);
          return '';
        },
        setCookie: (cookie: string, url: string) => {
          asked.add(url);
          kept.push(cookie);
        },
      };
      const { netDial } = new Answerer((end, { ok }) => void end.write(ok(lines)));
      const dialer = new Dialer({ jar, netDial, netDialTLS: netDial });
      const dials = new Dials();
      await dials.take(dialer.dial('ws://a.example/p?q#f'));
      await dials.take(dialer.dial('wss://a.example/p'));
      expect(dials.opened).toBe(2);
      expect(kept).toEqual([...cookies, ...cookies]);
      return { urls: [...asked].join(' ') };
    });
  });
});
