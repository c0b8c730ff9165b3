import { lookup as findAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { expect, it } from 'vitest';
import { Dialer, type DialerOptions, dial } from '../src/index.ts';
import { certificate, rawServer, rawTlsServer } from './servers.ts';

/** A lookup that finds 127.0.0.1 for every name, and the names that it got. */
function loopback(): { readonly lookup: LookupFunction; readonly names: string[] } {
  const names: string[] = [];
  const lookup: LookupFunction = (name, options, callback) => {
    names.push(name);
    findAddress('127.0.0.1', options, callback as never);
  };
  return { lookup, names };
}

it('finds the server of a ws URL by lookup', async () => {
  const server = await rawServer((socket, request) => socket.write(request.ok()));
  const { lookup, names } = loopback();
  const conn = await dial(`ws://some.example:${server.port}/`, { lookup });
  expect([names, conn.remoteAddr]).toEqual([['some.example'], `127.0.0.1:${server.port}`]);
  conn.terminate();
  await server.gone();
});

it('finds the server of a wss URL by lookup, or by that of tls', async () => {
  const { cert: ca } = await certificate();
  const server = await rawTlsServer((socket, request) => socket.write(request.ok()));
  const [first, second] = [loopback(), loopback()];
  const tls = { ca, servername: 'localhost' };
  const url = `wss://some.example:${server.port}/`;
  (await dial(url, { lookup: first.lookup, tls })).terminate();
  (await dial(url, { lookup: first.lookup, tls: { ...tls, lookup: second.lookup } })).terminate();
  expect([first.names, second.names]).toEqual([['some.example'], ['some.example']]);
  await server.gone();
});

it('finds a proxy by lookup, and leaves the server to the proxy', async () => {
  const proxy = await rawServer((socket) => socket.end('HTTP/1.1 503 No\r\n\r\n'));
  const { lookup, names } = loopback();
  const url = new URL(`http://proxy.example:${proxy.port}`);
  const error = await dial('ws://some.example/', { lookup, proxy: url }).catch((e: unknown) => e);
  expect(names).toEqual(['proxy.example']);
  expect(error).toMatchObject({ code: 'WS_ERR_BAD_HANDSHAKE', status: 503 });
  await proxy.gone();
});

it('connects from localAddress, in the family', async () => {
  const sources: (string | undefined)[] = [];
  const server = await rawServer((socket, request) => {
    sources.push(socket.remoteAddress);
    socket.write(request.ok());
  });
  const options = { localAddress: '127.0.0.2', family: 4 } as const;
  const conn = await dial(`ws://localhost:${server.port}/`, options);
  expect(sources).toEqual(['127.0.0.2']);
  conn.terminate();
  await server.gone();
});

it('passes the family on to lookup', async () => {
  const families: unknown[] = [];
  const lookup: LookupFunction = (_name, { family }, callback) => {
    families.push(family);
    callback(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), '');
  };
  const dialing = dial('ws://some.example/', { lookup, family: 6 });
  await expect(dialing).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', message: /no address/ });
  expect(families).toEqual([6]);
});

it.each<[string, DialerOptions, string]>([
  ['a host', { lookup: '127.0.0.1' as never }, 'lookup: expected a function, got string'],
  ['a family', { family: 5 as never }, 'family: expected 0, 4 or 6, got 5'],
  ['a name', { localAddress: 'eth0' }, 'localAddress: expected an IP address, got eth0'],
  ['a number', { localAddress: 1 as never }, 'localAddress: expected an IP address, got number'],
  [
    'netDial too',
    { family: 4, netDial: () => Promise.reject(new Error('never called')) },
    'family: no effect with netDial, which opens the stream; use it there',
  ],
])('refuses %s', (_, options, message) => {
  expect(() => new Dialer(options)).toThrow(message);
});
