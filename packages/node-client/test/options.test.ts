import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Dialer, type DialOptions, defaultDialer, dial } from '../src/index.ts';
import { rawServer, says } from './servers.ts';

describe('new Dialer', () => {
  it.each<[string, object, new () => Error, string]>(
    // biome-ignore format: a table
    [
      ['an unknown option', { zap: 'env' }, TypeError, 'Dialer: unknown option zap; known options: handshakeTimeout, proxy, followRedirects, tls'],
      ['a misspelt option', { proxies: 'env' }, TypeError, 'Dialer: unknown option proxies; did you mean proxy?'],
      ['an option of a dial', { headers: {} }, TypeError, 'Dialer: unknown option headers; it is an option of each dial, not of the Dialer'],
      ['an option in another case', { HandshakeTimeout: 1 }, TypeError, 'unknown option HandshakeTimeout; use handshakeTimeout'],
      ['a handshakeTimeout of 0', { handshakeTimeout: 0 }, RangeError, 'handshakeTimeout'],
      ['a negative handshakeTimeout', { handshakeTimeout: -1 }, RangeError, 'handshakeTimeout'],
      ['a handshakeTimeout of NaN', { handshakeTimeout: Number.NaN }, RangeError, 'handshakeTimeout'],
      ['a handshakeTimeout beyond a timer’s', { handshakeTimeout: 2 ** 31 }, RangeError, 'handshakeTimeout'],
      ['a handshakeTimeout that is a string', { handshakeTimeout: '10s' }, TypeError, 'handshakeTimeout'],
      ['a handshakeTimeout that is true', { handshakeTimeout: true }, TypeError, 'handshakeTimeout'],
      ['followRedirects that is true', { followRedirects: true }, TypeError, 'followRedirects: expected false or a number, got boolean'],
      ['followRedirects that is null', { followRedirects: null }, TypeError, 'followRedirects'],
      ['a followRedirects of -1', { followRedirects: -1 }, RangeError, 'followRedirects'],
      ['a followRedirects of -0', { followRedirects: -0 }, RangeError, 'followRedirects'],
      ['a followRedirects of 1.5', { followRedirects: 1.5 }, RangeError, 'followRedirects'],
      ['a followRedirects of NaN', { followRedirects: Number.NaN }, RangeError, 'followRedirects'],
      ['a followRedirects of 6', { followRedirects: 6 }, RangeError, 'followRedirects: expected a whole number from 0 to 5, got 6'],
      ['tls that is not an object', { tls: true }, TypeError, 'tls: expected an object, got boolean'],
      ['tls that is null', { tls: null }, TypeError, 'tls: expected an object, got null'],
      ['netDial that is not a function', { netDial: {} }, TypeError, 'netDial: expected a function, got Object'],
      ['netDialTLS that is not a function', { netDialTLS: 1 }, TypeError, 'netDialTLS: expected a function, got number'],
      ['a jar that is none', { jar: {} }, TypeError, 'jar: expected getCookieString and setCookie, got Object'],
      ['a jar that is null', { jar: null }, TypeError, 'jar: expected getCookieString and setCookie, got null'],
      ['subprotocols that are not an array', { subprotocols: 'chat' }, TypeError, 'subprotocols: expected an array'],
      ['a subprotocol that is not a token', { subprotocols: ['a b'] }, SyntaxError, 'subprotocols: name 1 is not a token'],
      ['a readLimit of 0', { readLimit: 0 }, RangeError, 'readLimit'],
      ['a heartbeat that is a number', { heartbeat: 5 }, TypeError, 'heartbeat'],
    ],
  )('refuses %s', (_, options, type, why) => {
    const make = () => new Dialer(options);
    expect(make).toThrow(type);
    expect(make).toThrow(why);
  });

  it('refuses TLS options that OpenSSL rejects', () => {
    expect(() => new Dialer({ tls: { cert: 'nonsense' } })).toThrow();
    expect(() => new Dialer({ tls: { minVersion: 'TLSv9' as 'TLSv1.2' } })).toThrow(TypeError);
  });

  it.each([null, 5, 'x'])('refuses %j', (options) => {
    expect(() => new Dialer(options as never)).toThrow(TypeError);
  });

  it('accepts its own options and those of a Conn', () => {
    const jar = { getCookieString: () => '', setCookie: () => undefined };
    const options = {
      handshakeTimeout: false,
      jar,
      subprotocols: ['a'],
      readLimit: false,
    } as const;
    expect(() => new Dialer({ ...options, heartbeat: false, tls: undefined })).not.toThrow();
  });
});

describe('dial', () => {
  const nobody = 'ws://127.0.0.1:1/';

  it.each<[string, unknown, string | URL, string]>(
    // biome-ignore format: a table
    [
      ['an unknown option', { maxPayload: 5 }, nobody, 'dial: unknown option maxPayload; use readLimit'],
      ['an unknown option without resemblance', { zap: 5 }, nobody, 'dial: unknown option zap; known options: headers, subprotocols, signal, handshakeTimeout'],
      ['an option of ws with another place', { origin: 'http://a' }, nobody, 'dial: unknown option origin; use headers: { Origin }'],
      ['an option of serve', { authenticate() {} }, nobody, 'authenticate; it is an option of serve'],
      ['an option of ReconnectingConn', { onOpen() {} }, nobody, 'onOpen; it is an option of ReconnectingConn'],
      ['resend', { resend: {} }, nobody, 'resend; it is an option of ReconnectingConn'],
      ['the option alive of a page', { alive: {} }, nobody, 'alive; use heartbeat, which finds a dead'],
      ['the rate of a server', { rateLimit: 5 }, nobody, 'rateLimit; rate is an option of serve'],
      ['a part of the URL', { port: 80 }, nobody, 'unknown option port; it belongs into the URL'],
      ['a query, as in socket.io', { query: {} }, nobody, 'unknown option query; it belongs into the URL'],
      ['a transport, as in socket.io', { transports: [] }, nobody, 'unknown option transports; WebSocket is the only transport'],
      ['subprotocols, as in browsers', ['chat'], nobody, 'write { subprotocols: [...] }'],
      ['a subprotocol, as in browsers', 'chat', nobody, 'write { subprotocols: [...] }'],
      ['a bad option of a Dialer', { compression: 'max' }, nobody, 'compression: expected true, false'],
      ['options that are null', null, nobody, 'dial: expected an object of options, got null'],
      ['a signal that is none', { signal: {} }, nobody, 'signal: expected an AbortSignal, got Object'],
      ['a signal that is null', { signal: null }, nobody, 'signal: expected an AbortSignal, got null'],
      ['a header with a line break', { headers: { cookie: 'a\r\nb' } }, nobody, 'headers: Invalid character in header content ["cookie"]'],
      ['a malformed name of a header', { headers: { 'a b': 'c' } }, nobody, 'headers: Header name must be a valid HTTP token ["a b"]'],
      ['headers that are none', { headers: 5 }, nobody, 'headers: expected an object or pairs'],
      ['a header of the handshake', { headers: { upgrade: 'h2c' } }, nobody, 'headers: upgrade is the handshake'],
      ['subprotocols that are not an array', { subprotocols: 'a' }, nobody, 'subprotocols: expected an array'],
      ['a URL that is none', {}, 5 as unknown as string, 'url: expected a string or a URL, got number'],
    ],
  )('rejects with a TypeError for %s', async (_, options, url, why) => {
    const dialed = dial(url, options as DialOptions);
    await expect(dialed).rejects.toThrow(TypeError);
    await expect(dialed).rejects.toThrow(why);
  });

  it('lists each known option once', async () => {
    const dialed = dial(nobody, { zap: 5 } as DialOptions);
    await expect(dialed).rejects.toThrow(/^((?!subprotocols).)*subprotocols((?!subprotocols).)*$/);
  });

  it('rejects with a SyntaxError for a malformed URL, and opens nothing', async () => {
    let opened = 0;
    const netDial = (): never => {
      opened++;
      throw new Error('never');
    };
    await expect(new Dialer({ netDial }).dial('ws://h:0/')).rejects.toThrow(SyntaxError);
    await expect(new Dialer({ netDial }).dial('wss://me@h/')).rejects.toThrow(SyntaxError);
    expect(opened).toBe(0);
  });

  it('without options of a Dialer is the defaultDialer’s', () => {
    expect(defaultDialer).toBeInstanceOf(Dialer);
  });

  it('takes every option of a Dialer', async () => {
    const server = await rawServer(
      says((request) => request.ok('Sec-WebSocket-Extensions: permessage-deflate\r\n')),
    );
    const asked: string[] = [];
    const conn = await dial('ws://feed.internal/', {
      headers: { Authorization: 'Bearer abc' },
      compression: true,
      readLimit: 10,
      netDial(address) {
        asked.push(String(address));
        return connect(server.port, '127.0.0.1');
      },
    });
    expect(conn.extensions).toBe('permessage-deflate');
    expect(asked).toEqual(['feed.internal:80']);
    conn.terminate();
  });
});
