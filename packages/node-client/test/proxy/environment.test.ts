import { describe, expect, it } from 'vitest';
import {
  type Environment,
  isExcluded,
  isLoopback,
  proxyFromEnvironment,
} from '../../src/proxy/environment.ts';

type Env = Record<string, string>;

const A = 'http://a.example:3128/';
const B = 'http://b.example:3128/';

const BEHIND =
  'it has an @ after its host; in a user or password write / as %2F, ? as %3F and # as %23';

describe('proxyFromEnvironment', () => {
  it.each<[says: string, url: string, env: Env, proxy: string | undefined]>(
    // biome-ignore format: a table
    [
      ['nothing is set', 'ws://h/', {}, undefined],
      ['http_proxy is for ws', 'ws://h/', { http_proxy: A }, A],
      ['HTTP_PROXY is for ws', 'ws://h/', { HTTP_PROXY: A }, A],
      ['http_proxy is for http', 'http://h/', { http_proxy: A }, A],
      ['http_proxy is not for wss', 'wss://h/', { http_proxy: A, HTTP_PROXY: A }, undefined],
      ['https_proxy is for wss', 'wss://h/', { https_proxy: A }, A],
      ['HTTPS_PROXY is for wss', 'wss://h/', { HTTPS_PROXY: A }, A],
      ['https_proxy is for https', 'https://h/', { https_proxy: A }, A],
      ['https_proxy is not for ws', 'ws://h/', { https_proxy: A, HTTPS_PROXY: A }, undefined],
      ['all_proxy is for ws', 'ws://h/', { all_proxy: A }, A],
      ['all_proxy is for wss', 'wss://h/', { all_proxy: A }, A],
      ['ALL_PROXY is for both', 'wss://h/', { ALL_PROXY: A }, A],
      ['the scheme’s own goes before all_proxy', 'ws://h/', { HTTP_PROXY: A, all_proxy: B }, A],
      ['the scheme’s own goes before ALL_PROXY', 'wss://h/', { HTTPS_PROXY: A, ALL_PROXY: B }, A],
      ['another scheme’s leaves it to ALL_PROXY', 'ws://h/', { HTTPS_PROXY: A, ALL_PROXY: B }, B],
      ['http_proxy goes before HTTP_PROXY', 'ws://h/', { HTTP_PROXY: A, http_proxy: B }, B],
      ['https_proxy goes before HTTPS_PROXY', 'wss://h/', { HTTPS_PROXY: A, https_proxy: B }, B],
      ['all_proxy goes before ALL_PROXY', 'wss://h/', { ALL_PROXY: A, all_proxy: B }, B],
      ['empty is as good as none', 'ws://h/', { http_proxy: '', HTTP_PROXY: A }, A],
      ['blank is as good as none', 'ws://h/', { http_proxy: '  ', all_proxy: A }, A],
      ['spaces around are not of the value', 'ws://h/', { http_proxy: ` ${A} ` }, A],
      ['mixed case is another variable', 'ws://h/', { Http_Proxy: A }, undefined],
      ['in CGI HTTP_PROXY is a header', 'ws://h/', { HTTP_PROXY: A, REQUEST_METHOD: 'GET' }, undefined],
      ['in CGI with an empty method too', 'ws://h/', { HTTP_PROXY: A, REQUEST_METHOD: '' }, undefined],
      ['in CGI http_proxy counts', 'ws://h/', { http_proxy: A, REQUEST_METHOD: 'GET' }, A],
      ['in CGI ALL_PROXY counts instead of HTTP_PROXY', 'ws://h/', { HTTP_PROXY: A, ALL_PROXY: B, REQUEST_METHOD: 'GET' }, B],
      ['in CGI HTTPS_PROXY counts', 'wss://h/', { HTTPS_PROXY: A, REQUEST_METHOD: 'GET' }, A],
      ['no scheme is http', 'ws://h/', { http_proxy: 'a.example:3128' }, A],
      ['no scheme, for wss', 'wss://h/', { https_proxy: 'a.example:3128' }, A],
      ['a name alone', 'ws://h/', { http_proxy: 'a.example' }, 'http://a.example/'],
      ['an address alone', 'ws://h/', { http_proxy: '10.0.0.1:8080' }, 'http://10.0.0.1:8080/'],
      ['IPv6 without a scheme', 'ws://h/', { http_proxy: '[::1]:8080' }, 'http://[::1]:8080/'],
      ['credentials without a scheme', 'ws://h/', { http_proxy: 'u:p@a.example' }, 'http://u:p@a.example/'],
      ['a scheme in upper case', 'ws://h/', { http_proxy: 'HTTP://a.example:3128' }, A],
      ['https', 'ws://h/', { http_proxy: 'https://a.example' }, 'https://a.example/'],
      ['socks5', 'ws://h/', { all_proxy: 'socks5://a.example' }, 'socks5://a.example'],
      ['socks, as GNOME writes it', 'wss://h/', { all_proxy: 'socks://a:1/' }, 'socks://a:1/'],
      ['socks5h', 'wss://h/', { all_proxy: 'socks5h://u:p@a:1' }, 'socks5h://u:p@a:1'],
      ['NO_PROXY names another', 'ws://h/', { http_proxy: A, NO_PROXY: 'g' }, A],
      ['NO_PROXY names it', 'ws://h/', { http_proxy: A, NO_PROXY: 'h' }, undefined],
      ['no_proxy names it', 'wss://h/', { all_proxy: A, no_proxy: 'h' }, undefined],
      ['no_proxy goes before NO_PROXY', 'ws://h/', { http_proxy: A, no_proxy: 'g', NO_PROXY: 'h' }, A],
      ['an empty no_proxy leaves NO_PROXY', 'ws://h/', { http_proxy: A, no_proxy: '', NO_PROXY: 'h' }, undefined],
      ['NO_PROXY names the default port of ws', 'ws://h/', { http_proxy: A, NO_PROXY: 'h:80' }, undefined],
      ['NO_PROXY names the port of wss for ws', 'ws://h/', { http_proxy: A, NO_PROXY: 'h:443' }, A],
      ['NO_PROXY names the default port of wss', 'wss://h/', { https_proxy: A, NO_PROXY: 'h:443' }, undefined],
      ['localhost', 'ws://localhost/', { http_proxy: A }, undefined],
      ['LOCALHOST with a dot', 'ws://LOCALHOST.:9/', { http_proxy: A }, undefined],
      ['below localhost', 'wss://app.localhost/', { all_proxy: A }, undefined],
      ['127.0.0.1', 'ws://127.0.0.1:8080/', { http_proxy: A }, undefined],
      ['127.9.9.9', 'ws://127.9.9.9/', { http_proxy: A }, undefined],
      ['::1', 'ws://[::1]:8080/', { http_proxy: A }, undefined],
      ['127.0.0.1 in IPv6', 'ws://[::ffff:127.0.0.1]/', { http_proxy: A }, undefined],
      ['no loopback, though it looks like it', 'ws://localhost.example/', { http_proxy: A }, A],
      ['no loopback: 128.0.0.1', 'ws://128.0.0.1/', { http_proxy: A }, A],
      ['a Unix socket', 'ws+unix:/run/app.sock', { http_proxy: A, all_proxy: A }, undefined],
      ['a malformed value that NO_PROXY spares us', 'ws://h/', { http_proxy: 'ftp://a', no_proxy: '*' }, undefined],
    ],
  )('%s', (_, url, env, proxy) => {
    expect(proxyFromEnvironment(url, env)?.href).toBe(proxy);
    expect(proxyFromEnvironment(new URL(url), env)?.href).toBe(proxy);
  });

  it.each<[value: string, why: string]>([
    ['ftp://u:hush@a/', 'scheme "ftp" is not one of http, https, socks5, socks5h, socks'],
    ['socks4://u:hush@a/', 'scheme "socks4" is not one of http, https, socks5, socks5h, socks'],
    ['http://', 'it is not the URL of a proxy'],
    ['http:///a', 'it is not the URL of a proxy'],
    ['//u:hush@a', 'it is not the URL of a proxy'],
    ['u:hush', 'it is not the URL of a proxy'],
    ['http://u:hush', 'it is not the URL of a proxy'],
    ['http://u:hush@a:99999', 'it is not the URL of a proxy'],
    ['http://u:hush@a b', 'it is not the URL of a proxy'],
    ['http://u:hush@a\nb', 'it is not the URL of a proxy'],
    ['http:\\\\u:hush@a', 'it is not the URL of a proxy'],
    ['http://u:443/hush@px', BEHIND],
    ['u:443/hush@px', BEHIND],
    ['http://u:443?hush@px', BEHIND],
    ['http://u:443#hush@px', BEHIND],
    ['socks5://u/hush@px', BEHIND],
    ['http://u:hush@a:0', 'port 0 is not between 1 and 65535'],
    ['socks5://', 'it has no valid host'],
    ['socks5://u:hush@a%00b', 'it has no valid host'],
    ['http://u:hush%zz@a', 'its user or password is not percent-encoded UTF-8'],
    ['http://u:hush%ff@a', 'its user or password is not percent-encoded UTF-8'],
    ['http://u%3av:hush@a', 'its user contains a colon, where the password would begin'],
    [`socks5://u:hush${'x'.repeat(256)}@a`, 'its user or password is longer than 255 bytes'],
  ])('refuses %j and names the variable without its value', (value, why) => {
    const make = () => proxyFromEnvironment('wss://h/', { HTTPS_PROXY: value });
    expect(make).toThrow(SyntaxError);
    expect(make).toThrow(new SyntaxError(`HTTPS_PROXY: ${why}`));
    try {
      make();
    } catch (error) {
      expect(JSON.stringify([(error as Error).stack, (error as Error).cause])).not.toContain(
        'hush',
      );
    }
  });

  it('reads the environment of the process, as it is now', () => {
    const before = process.env['all_proxy'];
    try {
      process.env['all_proxy'] = A;
      expect(proxyFromEnvironment('ws://now.example/')?.href).toBe(A);
      process.env['all_proxy'] = B;
      expect(proxyFromEnvironment('ws://now.example/')?.href).toBe(B);
    } finally {
      if (before === undefined) delete process.env['all_proxy'];
      else process.env['all_proxy'] = before;
    }
  });
});

describe('an environment without case in names', () => {
  /** As on Windows. */
  const caseless = (env: Env): Environment =>
    new Proxy(env, {
      get: (target, name) =>
        Object.entries(target).find(
          ([own]) => own.toLowerCase() === String(name).toLowerCase(),
        )?.[1],
    });

  it.each<[says: string, env: Env, proxy: string | undefined]>([
    ['finds it in either case', { HTTP_PROXY: A }, A],
    [
      'finds in CGI a header, whatever its case',
      { HTTP_PROXY: A, REQUEST_METHOD: 'GET' },
      undefined,
    ],
    ['finds in CGI a header in lower case', { http_proxy: A, REQUEST_METHOD: 'GET' }, undefined],
    ['finds in CGI all_proxy', { HTTP_PROXY: A, ALL_PROXY: B, REQUEST_METHOD: '' }, B],
  ])('%s', (_, env, proxy) => {
    expect(proxyFromEnvironment('ws://h/', caseless(env))?.href).toBe(proxy);
  });

  it('gives https_proxy in CGI, which is not a header', () => {
    const env = caseless({ HTTPS_PROXY: A, REQUEST_METHOD: 'GET' });
    expect(proxyFromEnvironment('wss://h/', env)?.href).toBe(A);
  });
});

describe('a NO_PROXY list', () => {
  it.each<[list: string, server: string]>([
    ['*', 'example.com:80'],
    ['a, *', '10.0.0.1:80'],
    ['example.com', 'example.com:80'],
    ['example.com', 'www.example.com:80'],
    ['example.com', 'a.b.example.com:80'],
    ['.example.com', 'www.example.com:80'],
    ['*.example.com', 'www.example.com:80'],
    ['*.example.com', 'a.b.example.com:80'],
    ['EXAMPLE.com', 'example.COM:80'],
    ['example.com.', 'example.com:80'],
    ['example.com', 'example.com.:80'],
    ['.example.com.', 'www.example.com.:80'],
    ['bücher.example', 'xn--bcher-kva.example:80'],
    ['example.com:8080', 'example.com:8080'],
    ['example.com:8080', 'www.example.com:8080'],
    ['.example.com:8080', 'www.example.com:8080'],
    ['a,b,example.com', 'example.com:80'],
    ['a b example.com', 'example.com:80'],
    ['a , example.com , b', 'example.com:80'],
    ['a,,example.com,', 'example.com:80'],
    ['a\texample.com', 'example.com:80'],
    ['10.1.2.3', '10.1.2.3:80'],
    ['10.1.2.3:80', '10.1.2.3:80'],
    ['10.0.0.0/8', '10.1.2.3:80'],
    ['10.1.2.3/32', '10.1.2.3:80'],
    ['0.0.0.0/0', '10.1.2.3:80'],
    ['192.168.0.0/16,10.0.0.0/8', '10.1.2.3:80'],
    ['10.99.0.0/8', '10.1.2.3:80'],
    ['10.0.0.0/8', '[::ffff:a01:203]:80'],
    ['10.1.2.3', '[::ffff:a01:203]:80'],
    ['2001:db8::1', '[2001:db8::1]:80'],
    ['2001:DB8:0::1', '[2001:db8::1]:80'],
    ['[2001:db8::1]', '[2001:db8::1]:80'],
    ['[2001:db8::1]:80', '[2001:db8::1]:80'],
    ['2001:db8::/32', '[2001:db8:1::1]:80'],
    ['[2001:db8::]/32', '[2001:db8:1::1]:80'],
    ['::/0', '[2001:db8:1::1]:80'],
    ['::ffff:10.0.0.0/104', '10.1.2.3:80'],
  ])('%j has %s', (list, server) => {
    expect(isExcluded(list, ...split(server))).toBe(true);
  });

  it.each<[list: string, server: string]>([
    ['', 'example.com:80'],
    [' , ', 'example.com:80'],
    ['.', 'example.com:80'],
    ['*.', 'example.com:80'],
    ['example.com', 'badexample.com:80'],
    ['example.com', 'example.com.evil:80'],
    ['example.com', 'com:80'],
    ['.example.com', 'example.com:80'],
    ['*.example.com', 'example.com:80'],
    ['*example.com', 'www.example.com:80'],
    ['www.*.com', 'www.example.com:80'],
    ['example.com:8080', 'example.com:80'],
    ['example.com:', 'example.com:80'],
    ['example.com:http', 'example.com:80'],
    ['example.com:080:80', 'example.com:80'],
    [':80', 'example.com:80'],
    ['http://example.com', 'example.com:80'],
    ['10.1.2.3', '10.1.2.30:80'],
    ['10.1.2.3:443', '10.1.2.3:80'],
    ['.2.3', '10.1.2.3:80'],
    ['2.3', '10.1.2.3:80'],
    ['10.0.0.0/8', '11.1.2.3:80'],
    ['10.0.0.0/8', 'ten.example:80'],
    ['10.0.0.0/33', '10.0.0.0:80'],
    ['10.0.0.0/-1', '10.0.0.0:80'],
    ['10.0.0.0/', '10.0.0.0:80'],
    ['10.0.0.0/8/8', '10.0.0.0:80'],
    ['10/8', '10.0.0.0:80'],
    ['example.com/8', 'example.com:80'],
    ['2001:db8::/129', '[2001:db8::1]:80'],
    ['2001:db8::/32', '[2001:db9::1]:80'],
    ['2001:db8::/32', '10.1.2.3:80'],
    ['2001:db8::1', '[2001:db8::2]:80'],
    ['[2001:db8::1]:443', '[2001:db8::1]:80'],
    ['[2001:db8::1', '[2001:db8::1]:80'],
    ['fe80::1%eth0', '[fe80::1]:80'],
    ['fe80::%eth0/64', '[fe80::1]:80'],
    ['::/0', '10.1.2.3:80'],
    ['0.0.0.0/0', '[2001:db8::1]:80'],
  ])('%j has not %s', (list, server) => {
    expect(isExcluded(list, ...split(server))).toBe(false);
  });

  it('knows loopback with and without brackets', () => {
    expect(['::1', '[::1]', '127.1.2.3', 'localhost', 'a.localhost.'].every(isLoopback)).toBe(true);
    expect(['::2', '0.0.0.0', 'local', 'notlocalhost'].some(isLoopback)).toBe(false);
  });

  it('is read in linear time', () => {
    const list = `${'a'.repeat(200_000)}:${'['.repeat(200_000)},${', '.repeat(100_000)}${'*.'.repeat(100_000)}`;
    expect(isExcluded(list, 'example.com', 80)).toBe(false);
  });
});

/** Host and port of `host:port`. */
function split(server: string): [string, number] {
  const colon = server.lastIndexOf(':');
  return [server.slice(0, colon), Number(server.slice(colon + 1))];
}
