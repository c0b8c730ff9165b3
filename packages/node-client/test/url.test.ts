import { describe, expect, it } from 'vitest';
import { parseTarget } from '../src/url.ts';

function shown(url: string | URL) {
  const { address, secure, host, path, cookieUrl } = parseTarget(url);
  return { to: String(address), secure, host, path, cookieUrl };
}

describe('parseTarget', () => {
  it.each(
    // biome-ignore format: a table
    [
      ['ws://example.org', 'example.org:80', 'example.org', '/', 'http://example.org/'],
      ['ws://example.org:80/a', 'example.org:80', 'example.org', '/a', 'http://example.org/a'],
      ['ws://example.org:443/', 'example.org:443', 'example.org:443', '/', 'http://example.org:443/'],
      ['http://example.org/a?b=c', 'example.org:80', 'example.org', '/a?b=c', 'http://example.org/a?b=c'],
      ['WS://EXAMPLE.org/A', 'example.org:80', 'example.org', '/A', 'http://example.org/A'],
      ['ws://example.org?q', 'example.org:80', 'example.org', '/?q', 'http://example.org/?q'],
      ['ws://h/a b/é', 'h:80', 'h', '/a%20b/%C3%A9', 'http://h/a%20b/%C3%A9'],
      ['ws://h:8080/#top', 'h:8080', 'h:8080', '/', 'http://h:8080/'],
      ['ws://h/a#b?c', 'h:80', 'h', '/a', 'http://h/a'],
      ['ws://[::1]:9/x', '[::1]:9', '[::1]:9', '/x', 'http://[::1]:9/x'],
      ['ws://h:65535/', 'h:65535', 'h:65535', '/', 'http://h:65535/'],
      ['ws://h:/', 'h:80', 'h', '/', 'http://h/'],
      ['ws://bücher.example/', 'xn--bcher-kva.example:80', 'xn--bcher-kva.example', '/', 'http://xn--bcher-kva.example/'],
      ['ws://127.0.0.1:9/', '127.0.0.1:9', '127.0.0.1:9', '/', 'http://127.0.0.1:9/'],
      ['ws://h?a\\b', 'h:80', 'h', '/?a\\b', 'http://h/?a\\b'],
      ['ws://h/x@y', 'h:80', 'h', '/x@y', 'http://h/x@y'],
    ],
  )('reads %s', (url, to, host, path, cookieUrl) => {
    expect(shown(url)).toEqual({ to, secure: false, host, path, cookieUrl });
  });

  it.each([
    ['wss://example.org', 'example.org:443', 'example.org', '/', 'https://example.org/'],
    ['https://example.org:443/', 'example.org:443', 'example.org', '/', 'https://example.org/'],
    ['wss://[2001:db8::1]/', '[2001:db8::1]:443', '[2001:db8::1]', '/', 'https://[2001:db8::1]/'],
    ['wss://h:80/', 'h:80', 'h:80', '/', 'https://h:80/'],
  ])('reads %s as secure', (url, to, host, path, cookieUrl) => {
    expect(shown(url)).toEqual({ to, secure: true, host, path, cookieUrl });
  });

  it.each([
    ['ws+unix:/run/app.sock', '/run/app.sock', '/'],
    ['ws+unix:/run/app.sock:/feed?x=1#top', '/run/app.sock', '/feed?x=1'],
    ['ws+unix:///run/app.sock:/a:b', '/run/app.sock', '/a:b'],
    ['ws+unix:/run/app.sock:?x', '/run/app.sock', '/?x'],
    ['ws+unix:/run/my%20app%3A1.sock:/', '/run/my app:1.sock', '/'],
    ['ws+unix:/run/a b.sock', '/run/a b.sock', '/'],
  ])('reads %s as a Unix socket', (url, socket, path) => {
    const target = parseTarget(url);
    expect(target).toMatchObject({ secure: false, host: 'localhost', path });
    expect(target.address).toMatchObject({ path: socket });
    expect(String(target.address)).toBe(socket);
    expect(target.cookieUrl).toBe(`http://localhost${path}`);
    expect(parseTarget(url.replace('ws', 'wss'))).toMatchObject({ secure: true });
  });

  it('takes a URL object', () => {
    expect(shown(new URL('wss://h/x'))).toMatchObject({ to: 'h:443', path: '/x' });
  });

  it('gives an address that net.connect takes: no brackets, no path over TCP', () => {
    const { address } = parseTarget('ws://[::1]:9/x');
    expect(address).toMatchObject({ host: '::1', port: 9 });
    expect('path' in address).toBe(false);
  });

  it.each([
    ['file:///etc/passwd', 'scheme "file" is not one of ws, wss'],
    ['ftp://h/', 'scheme "ftp"'],
    ['javascript:1', 'scheme "javascript"'],
    ['localhost:8080', 'it has no scheme; write ws://localhost:8080'],
    ['127.0.0.1:8080/feed', 'it has no scheme; write ws://127.0.0.1:8080'],
    ['example.org:443?a=secret', 'it has no scheme; write ws://example.org:443'],
    ['', 'it is empty; server.url is empty until the server listens'],
    ['example.org', 'it has no scheme; write ws://example.org'],
    ['example', 'it has no scheme; write ws://example'],
    ['example/feed?a=secret', 'it has no scheme; write ws://example'],
    ['/feed', 'it has no scheme; start it with ws:// or wss://'],
    ['//h:80/feed', 'it has no scheme; write ws://h:80'],
    [
      'example:8080',
      'scheme "example" is not one of ws, wss, http, https, ws+unix, wss+unix; for a host, write ws://example:8080',
    ],
    ['example:8080/feed?a=secret', 'for a host, write ws://example:8080'],
    ['me:secret@h', 'ws+unix, wss+unix'],
    ['secret@h', 'it has no scheme; start it with ws:// or wss://'],
    ['ws://me:secret@h/', 'user info'],
    ['ws://me@h/', 'headers: { Authorization }'],
    ['ws://@h/', 'user info'],
    ['ws://me:secret@h:99999/', 'user info'],
    ['ws+unix://me:secret@h/run/s', 'user info'],
    ['ws://h/a\rb', 'a control character'],
    ['ws://h/a\r\nHost: evil', 'a control character'],
    ['ws://h/\0', 'a control character'],
    ['ws://h\t/', 'a control character'],
    [' ws://h/', 'begins or ends with a space'],
    ['ws://h/ ', 'begins or ends with a space'],
    ['ws://h/\u00a0', 'begins or ends with a space'],
    ['ws://h\\a', 'a backslash'],
    ['ws://h/a\\b', 'a backslash'],
    ['ws://good.example\\@evil.example/', 'user info'],
    ['ws+unix:/run\\app.sock', 'a backslash'],
    ['ws+unix:/run/app.sock:\\feed', 'a backslash'],
    ['ws://1.2.3/', 'host "1.2.3" is another spelling of 1.2.0.3'],
    ['ws://0x7f.1:80/', 'another spelling of 127.0.0.1'],
    ['ws://2130706433', 'another spelling of 127.0.0.1'],
    ['ws://017700000001/', 'another spelling of 127.0.0.1'],
    ['ws://127.0.0.1./', 'another spelling of 127.0.0.1'],
    ['ws://%31.0.0.1/', 'another spelling of 1.0.0.1'],
    ['ws://１.0.0.1/', 'another spelling of 1.0.0.1'],
    ['ws://h:0/', 'port "0" is not between 1 and 65535'],
    ['ws://h:000/', 'port "000" is not between 1 and 65535'],
    ['ws://h:65536/', 'port "65536" is not between 1 and 65535'],
    ['ws://h:99999999999999999999/', 'is not between 1 and 65535'],
    ['ws://h:8o/', 'not a valid host'],
    ['ws://h:-1/', 'not a valid host'],
    ['ws://', 'no host'],
    ['ws:///path', 'no host'],
    ['ws:h', 'no host'],
    ['ws:/h', 'no host'],
    ['ws:\\\\h', 'no host'],
    ['ws://:80/', 'no host'],
    ['ws://?x', 'no host'],
    ['ws://#x', 'no host'],
    ['ws://[fe80::1%25eth0]/', 'an IPv6 zone'],
    ['ws://[fe80::1%eth0]:80/', 'an IPv6 zone'],
    ['ws://[::1/', 'not a valid host'],
    ['ws://a b/', 'not a valid host'],
    ['ws://h<x>/', 'not a valid host'],
    ['ws://a{b}/', 'not a valid host'],
    ['ws://a`b/', 'not a valid host'],
    ['ws://256.256.256.256/', 'not a valid host'],
    ['ws+unix:', 'absolute path'],
    ['ws+unix:run/app.sock', 'absolute path'],
    ['ws+unix://host/run/app.sock', 'absolute path'],
    ['ws+unix:///', 'absolute path'],
    ['ws+unix:/run/app.sock:feed', 'path "feed" after the Unix socket'],
    ['ws+unix:/run/%00', 'NUL'],
    ['ws+unix:/run/%ff', 'percent-encoded'],
  ])('refuses %j', (url, why) => {
    const parse = () => parseTarget(url);
    expect(parse).toThrow(SyntaxError);
    expect(parse).toThrow(`malformed WebSocket URL: `);
    expect(parse).toThrow(why);
    expect(parse).not.toThrow('secret');
  });

  it.each([undefined, null, 5, {}])('refuses %j, which is not a URL', (url) => {
    expect(() => parseTarget(url as never)).toThrow(TypeError);
  });

  it('shows no terminal control character in its message', () => {
    expect(() => parseTarget('ws://h\u009b/')).toThrow('"h\\u009b"');
  });
});
