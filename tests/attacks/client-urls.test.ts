import { connect } from 'node:net';
import { type Duplex } from 'node:stream';
import { BadHandshakeError, type DialAddress, Dialer, type DialerOptions } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { atLeast, atMost, claim, survives } from './harness/index.ts';
import { Dials, HostileServer } from './hostile-server.ts';

/** Records the addresses of dials. Its servers in memory accept every upgrade. */
class Route {
  readonly addresses: string[] = [];
  readonly requests: string[] = [];
  readonly #server = new HostileServer((end, { text, ok }) => {
    this.requests.push(text.slice(0, text.indexOf('\r\n')));
    end.write(ok());
  });
  readonly netDial = (address: DialAddress): Duplex => {
    this.addresses.push(String(address));
    return this.#server.netDial();
  };
}

describe('a client with the URL of a user', () => {
  it('rejects malformed URLs without a connection', async () => {
    const urls = [
      ['file:///etc/passwd', 'ftp://h/', 'javascript:alert(1)', 'h/path', '//h/path', '', 'ws:'],
      ['ws://', 'ws:///path', 'ws://:80/', 'ws:h/', 'ws://user@h/', 'ws://user:pass@h/'],
      ['wss://:pass@h/', 'ws://h/a\rb', 'ws://h/a\r\nHost: evil', 'ws://h\n/', 'ws://h/\0'],
      ['ws://[fe80::1%25eth0]/', 'ws://[fe80::1%eth0]/', 'ws://[::1/', 'ws://h:0/'],
      ['ws://h:65536/', 'ws://h:-1/', 'ws://h:x/', 'ws://h\\@evil/', 'ws://a b/'],
      ['ws://0x7f.1/', 'ws://2130706433/', ' ws://h/', 'ws+unix:relative.sock:/'],
    ].flat();
    const taken: readonly (readonly [url: string, address: string, request: string])[] = [
      ['http://h/a?b', 'h:80', 'GET /a?b HTTP/1.1'],
      ['https://h', 'h:443', 'GET / HTTP/1.1'],
      ['ws://h/a#secret', 'h:80', 'GET /a HTTP/1.1'],
      ['wss://[::1]:8443/', '[::1]:8443', 'GET / HTTP/1.1'],
    ];
    const attack = claim('malformed URLs', 'RFC 6455, 3');
    await survives(attack, { cases: atLeast(20), opened: 0, warmUps: 10 }, async () => {
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
  });

  it("connects to no address that the application's hook refuses", async () => {
    const forbidden = new Set(['169.254.169.254', '127.0.0.1']);
    const resolved: Readonly<Record<string, string>> = { 'rebound.example': '169.254.169.254' };
    let reached = 0;
    /**
     * A filter of an application: it checks the address, and the address that a name resolves to.
     */
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
      const redirecting = new HostileServer(
        `HTTP/1.1 302 F\r\nLocation: ${url}\r\nContent-Length: 0\r\n\r\n`,
      );
      return (address) => (address.host === 'start' ? redirecting.netDial() : netDial(address));
    };
    // The hook is `netDial`: it opens the stream, with a `lookup` function where needed.
    // Redirects pass through it too.
    const attack = claim('a user URL to an internal address', 'CWE-918');
    await survives(attack, { reached: 0 }, async () => {
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

  it('passes the jar the URL for cookies, and each cookie unchanged', async () => {
    const cookies = [
      'a=1; Domain=example',
      'b=2; Domain=com',
      'c=3; Path=/other',
      'd=4; Secure',
      '__Host-e=5; Domain=example.com',
    ];
    const lines = cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join('');
    const attack = claim(
      'cookies for a parent domain, a public suffix or another path',
      'RFC 6265, 5.3',
    );
    await survives(attack, { urls: 'http://a.example/p?q https://a.example/p' }, async () => {
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
      const { netDial } = new HostileServer((end, { ok }) => void end.write(ok(lines)));
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

const to = (location: string): string =>
  `HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`;

/** Headers with secrets that a client sends. */
const SECRETS = {
  Authorization: 'Bearer secret-1',
  Cookie: 'session=secret-2',
  'Proxy-Authorization': 'Basic secret-3',
  'X-Api-Key': 'secret-4',
  Host: 'secret-5.example',
};

describe('a client that is redirected', () => {
  it('does not follow by default, and otherwise takes no secret to another origin', async () => {
    const attack = claim('a redirect to another origin', 'CVE-2026-42498');
    const bound = { opened: 0, leaked: 0, followed: atMost(5), warmUps: 10 };
    await survives(attack, bound, async () => {
      const heard: string[] = [];
      const attacker = new HostileServer((end, { text, ok }) => {
        heard.push(text);
        end.write(ok());
      });
      let followed = 0;
      const trusted = new HostileServer((end) => void end.write(to('ws://attacker/')));
      const endless = new HostileServer((end) => {
        followed++;
        end.write(to(`ws://loop-${followed}/`));
      });
      const route = ({ host }: DialAddress) =>
        (host === 'trusted' ? trusted : host.startsWith('loop') ? endless : attacker).netDial();
      const options: DialerOptions = { netDial: route };
      const dial = (url: string, more: DialerOptions = {}) =>
        new Dialer({ ...options, ...more }).dial(url, { headers: SECRETS });

      const byDefault = new Dials();
      await byDefault.take(dial('ws://trusted/'));
      expect(byDefault.errors[0]).toMatchObject({ status: 302 });
      expect(heard).toEqual([]);

      const enabled = new Dials();
      await enabled.take(dial('ws://trusted/', { followRedirects: 5 }));
      expect(enabled.opened).toBe(1);
      expect(heard).toHaveLength(1);
      const names = Object.keys(SECRETS).filter((name) => name !== 'Host');
      const leaked = [...names.map((name) => `${name}:`), 'secret'].filter((word) =>
        heard[0]!.toLowerCase().includes(word.toLowerCase()),
      );

      const loop = new Dials();
      await loop.take(dial('ws://loop-0/', { followRedirects: 5 }));
      expect(loop.errors[0]).toBeInstanceOf(BadHandshakeError);
      expect(() => new Dialer({ followRedirects: 6 })).toThrow(RangeError);
      const left = trusted.left + attacker.left + endless.left;
      expect(left).toBe(0);
      // The caller requested the first URL.
      return { opened: byDefault.opened, leaked: leaked.length, followed: followed - 1 };
    });
  });

  it('never changes from wss to ws', async () => {
    const locations = [
      ['ws://h/', 'http://h/', 'WS://h/', 'ws://h:443/', 'ws://127.0.0.1/'],
      ['ws+unix:/run/app.sock:/', 'ws:h', 'ws:/h', '\tws://h/'],
    ].flat();
    const attack = claim('a redirect from wss to ws', 'RFC 6455, 10.6');
    await survives(attack, { plain: 0, opened: 0 }, async () => {
      let plain = 0;
      const dials = new Dials();
      for (const location of locations) {
        const secure = new HostileServer(to(location));
        const netDial = () => {
          plain++;
          return new HostileServer((end, { ok }) => void end.write(ok())).netDial();
        };
        const dialer = new Dialer({ netDialTLS: secure.netDial, netDial, followRedirects: 5 });
        await dials.take(dialer.dial('wss://h/', { headers: SECRETS }));
        expect(secure.left).toBe(0);
      }
      expect(dials.errors).toHaveLength(locations.length);
      for (const error of dials.errors) expect(error).toBeInstanceOf(BadHandshakeError);
      return { plain, opened: dials.opened };
    });
  });
});
