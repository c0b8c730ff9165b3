import { getEventListeners, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { acceptKey } from '@ws/codec';
import { ReadPendingError, TimeoutError } from '@ws/conn';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { connect, ObsCloseError, ObsProtocolError, WebSocketCloseCode } from '@ws/obs';
import { nothingUnhandled, retryUntilTimer } from '@ws/tests';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { connected, rejection, startFake } from './support.ts';

describe('connect', () => {
  nothingUnhandled();

  it('identifies without a password', async () => {
    const { obs } = await connected();
    expect(obs.info).toEqual({ obsWebSocketVersion: '5.1.0', rpcVersion: 1 });
  });

  it.each(['secret', 'pässwörd 密码', ''])(
    'authenticates with the password %o',
    async (password) => {
      const { obs } = await connected({ password });
      expect((await obs.call('GetVersion')).obsWebSocketVersion).toBe('5.1.0');
    },
  );

  it('rejects a password in a page without WebCrypto, and says how to load it', async () => {
    const fake = await startFake({ password: 'secret' });
    vi.stubGlobal('crypto', {});
    onTestFinished(() => void vi.unstubAllGlobals());
    const error = await rejection(connect(fake.url, { password: 'secret' }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain('no WebCrypto; load it over https');
  });

  it.each([
    [{ password: 'wrong' }, WebSocketCloseCode.AuthenticationFailed, 'check the option password'],
    [{}, WebSocketCloseCode.AuthenticationFailed, 'check the option password'],
    [
      { password: 'secret', rpcVersion: 99 },
      WebSocketCloseCode.UnsupportedRpcVersion,
      'option rpcVersion',
    ],
  ])('names the option that OBS refuses: %o', async (options, closeCode, message) => {
    const fake = await startFake({ password: 'secret' });
    const error = await rejection(connect(fake.url, options));
    expect(error).toBeInstanceOf(ObsCloseError);
    expect(error).toMatchObject({ closeCode, code: 'WS_ERR_CLOSE' });
    expect(error.message).toContain(message);
  });

  it.each([
    ['{"type":"welcome"}', 'expected op 0 of obs-websocket 5'],
    ['{"update-type":"Heartbeat","pulse":true}', 'update an OBS before 28'],
    ['hello', 'a message cannot be decoded'],
    ['[', 'a message cannot be decoded'],
    ['', 'a message cannot be decoded'],
    ['{"op":0,"d":{"obsWebSocketVersion":5}}', 'Version: expected string, got '],
    ['{"op":0,"d":{"obsStudioVersion":{}}}', 'Version: expected string, got '],
    ['{"op":0,"d":{"obsWebSocketVersion":null}}', 'Version: expected string, got '],
    ['{"op":0,"d":{"authentication":null}}', 'expected object, got '],
    ['{"op":0,"d":{"authentication":{}}}', 'salt: expected string'],
    ['{"op":0,"d":{"authentication":{"salt":"x"}}}', 'challenge: expected string'],
    [
      '{"op":0,"d":{"authentication":{"salt":{"toString":1},"challenge":"x"}}}',
      'salt: expected string',
    ],
  ])('rejects a server whose first message is %s', async (hello, message) => {
    const fake = await startFake({ hello });
    const error = await rejection(connect(fake.url, { password: 'secret' }));
    expect(error).toBeInstanceOf(ObsProtocolError);
    expect(String(error)).toMatch(/^ObsProtocolError: /);
    expect(error.message).toContain(message);
  });

  it.each(['{}', '{"negotiatedRpcVersion":null}', '{"negotiatedRpcVersion":"1"}'])(
    'rejects a server whose Identified has the data %s',
    async (data) => {
      const fake = await startFake({ ignoresIdentify: true });
      const connecting = connect(fake.url, {
        dial: async (url, options) => {
          const conn = await dial(url, options);
          const send = conn.send.bind(conn);
          conn.send = async (message) => {
            await send(message);
            fake.sendRaw(`{"op":2,"d":${data}}`);
          };
          return conn;
        },
      });
      const error = await rejection(connecting);
      expect(error).toBeInstanceOf(ObsProtocolError);
      expect(error.message).toContain('negotiatedRpcVersion');
    },
  );

  it.each([
    [{}, 64 * 2 ** 20],
    [{ readLimit: 5_000 }, 5_000],
    [{ readLimit: false }, false],
  ] as const)('gives a function `dial` the limit of %o', async (options, readLimit) => {
    const fake = await startFake();
    const limits: unknown[] = [];
    const obs = await connect(fake.url, {
      ...options,
      dial: (url, given) => {
        limits.push(given.readLimit);
        return dial(url, given);
      },
    });
    expect(limits).toEqual([readLimit]);
    await obs.close();
  });

  it('drops events that OBS sends before Identified', async () => {
    const fake = await startFake({ ignoresIdentify: true });
    const obs = await connect(fake.url, {
      dial: async (url, options) => {
        const conn = await dial(url, options);
        const send = conn.send.bind(conn);
        conn.send = async (message) => {
          await send(message);
          conn.send = send;
          for (let i = 0; i < 2; i++) fake.sendRaw('{"op":5,"d":{"eventType":"ExitStarted"}}');
          fake.sendRaw('{"op":2,"d":{"negotiatedRpcVersion":1}}');
        };
        return conn;
      },
    });
    expect(obs.info.rpcVersion).toBe(1);
    await obs.close();
  });

  it('rejects a server that sends binary messages', async () => {
    const server = await serve({ port: 0, host: '127.0.0.1' }, async (conn) => {
      await conn.send(new Uint8Array([1, 2, 3]));
      await conn.closed;
    });
    onTestFinished(() => server.close() as Promise<unknown> as Promise<void>);
    const error = await rejection(connect(server.url));
    expect(error.message).toContain('a message cannot be decoded');
  });

  it.each([null, 4455, {}])('rejects %o as a URL', async (url) => {
    const error = await rejection(connect(url as never));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain('url: expected a URL, got ');
  });

  it('says to update OBS when no Hello comes, as from obs-websocket 4', async () => {
    const fake = await startFake({ hello: false });
    const conn = await dial(fake.url);
    const url = `${fake.url}?token=secret`;
    const error = await rejection(connect(url, { timeout: 50, dial: async () => conn }));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.message).not.toContain('secret');
    expect(error.message).toContain('no Hello of obs-websocket 5');
    expect(error.message).toContain('update an OBS before 28');
  });

  it('times out when Identify gets no answer', async () => {
    const fake = await startFake({ ignoresIdentify: true });
    expect(await rejection(connect(fake.url, { timeout: 50 }))).toBeInstanceOf(TimeoutError);
  });

  it('times out when the server does not answer the handshake', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const error = await rejection(connect(`ws://127.0.0.1:${port}`, { timeout: 50 }));
    expect(error.message).toContain('no connection for 50 ms');
  });

  it('rejects with the error of the dial when nothing listens', async () => {
    const error = await rejection(connect('ws://127.0.0.1:1'));
    expect(error).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
  });

  it('rejects with the reason of a signal at any stage', async () => {
    const fake = await startFake({ hello: false });
    const abort = new AbortController();
    const connecting = connect(fake.url, {
      signal: abort.signal,
      dial: async (url, options) => {
        const conn = await dial(url, options);
        setImmediate(() => abort.abort(new Error('enough')));
        return conn;
      },
    });
    expect((await rejection(connecting)).message).toBe('enough');
    const aborted = AbortSignal.abort(new Error('never'));
    expect((await rejection(connect(fake.url, { signal: aborted }))).message).toBe('never');
    const call = (): Promise<unknown> => connect(fake.url, { signal: aborted });
    expect(await retryUntilTimer(call)).toBe(aborted.reason);
  });

  it('rejects with the reason of a signal that aborts during Identify, and closes', async () => {
    const fake = await startFake({ ignoresIdentify: true });
    const abort = new AbortController();
    let conn!: Awaited<ReturnType<typeof dial>>;
    const connecting = connect(fake.url, {
      signal: abort.signal,
      dial: async (url, options) => {
        conn = await dial(url, options);
        const send = conn.send.bind(conn);
        conn.send = async (data) => {
          await send(data);
          abort.abort(new Error('enough'));
        };
        return conn;
      },
    });
    expect((await rejection(connecting)).message).toBe('enough');
    expect((await conn.closed).wasClean).toBe(false);
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
  });

  it('ignores a signal that aborts later', async () => {
    const fake = await startFake();
    const abort = new AbortController();
    await using obs = await connect(fake.url, { signal: abort.signal });
    abort.abort();
    expect((await obs.call('GetVersion')).rpcVersion).toBe(1);
  });

  it('rejects when the server ends the connection before Hello', async () => {
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => {
      conn.terminate();
      return conn.closed;
    });
    onTestFinished(() => server.close() as Promise<unknown> as Promise<void>);
    const error = await rejection(connect(server.url));
    expect(error).toBeInstanceOf(ObsCloseError);
    expect(error).toMatchObject({ closeCode: 1006 });
  });

  it('does not wait for the end of TCP after a close frame', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (head) => {
        const key = /sec-websocket-key: (.*)\r/i.exec(String(head))![1]!;
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
            `Sec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`,
        );
        // Close code 4009.
        socket.write(Buffer.from('88020fa9', 'hex'));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const error = await rejection(connect(`ws://127.0.0.1:${port}`, { timeout: 2_000 }));
    expect(error).toMatchObject({ name: 'ObsCloseError', closeCode: 4009 });
  });

  it('rejects when the function `dial` is itself reading from the connection', async () => {
    const fake = await startFake();
    const error = await rejection(
      connect(fake.url, {
        dial: async (url, options) => {
          const conn = await dial(url, options);
          void conn.receive(() => {});
          return conn;
        },
      }),
    );
    expect(error).toBeInstanceOf(ReadPendingError);
  });

  it('ends the connection of a dial that ignores its signal', async () => {
    const fake = await startFake();
    let late!: Awaited<ReturnType<typeof dial>>;
    let opened!: () => void;
    const isOpen = new Promise<void>((resolve) => {
      opened = resolve;
    });
    const abort = new AbortController();
    const connecting = connect(fake.url, {
      signal: abort.signal,
      dial: async (url) => {
        late = await dial(url);
        abort.abort(new Error('enough'));
        await new Promise((resolve) => setImmediate(resolve));
        opened();
        return late;
      },
    });
    expect((await rejection(connecting)).message).toBe('enough');
    await isOpen;
    expect((await late.closed).wasClean).toBe(false);
  });

  it('takes the dial function that is given', async () => {
    const fake = await startFake();
    const urls: string[] = [];
    const obs = await connect('ws://obs.example', {
      dial: (url, options) => {
        urls.push(url);
        return dial(fake.url, options);
      },
    });
    expect(urls).toEqual(['ws://obs.example']);
    await obs.close();
  });

  it.each([
    [
      { dial: () => Promise.resolve(undefined as never) },
      'dial: expected a promise of a connection',
    ],
    [{ passwort: 'x' }, 'connect: unknown option passwort; did you mean password?'],
    [{ password: 1 }, 'password: expected a string, got number'],
    [{ rpcVersion: 0 }, 'rpcVersion: expected a whole number from 1'],
    [{ eventSubscriptions: -1 }, 'eventSubscriptions: expected a whole number from 0'],
    [{ readLimit: 0 }, 'readLimit: expected a whole number of 1 or more'],
    [{ readLimit: '5' }, 'readLimit: expected a'],
    [{ timeout: 0 }, 'timeout: expected a whole number of 1 or more'],
    [{ encoding: {} }, 'encoding.encode: expected a function'],
    [{ encoding: { encode() {} } }, 'encoding.decode: expected a function'],
    [{ signal: {} }, 'signal: expected an AbortSignal'],
    [{ report: 1 }, 'report: expected a function'],
    ['secret', 'connect: expected an object of options, got string'],
  ])('rejects the options %o', async (options, message) => {
    const fake = await startFake();
    expect((await rejection(connect(fake.url, options as never))).message).toContain(message);
  });
});
