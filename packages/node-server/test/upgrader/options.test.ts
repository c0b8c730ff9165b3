import { totalmem } from 'node:os';
import process from 'node:process';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Conn, route, Upgrader, type UpgraderOptions } from '../../src/index.ts';
import { checkUpgraderOptions } from '../../src/options.ts';
import { KEY, masked } from '../raw.ts';
import { connected, endAfterEach, listening } from '../upgrade-server.ts';

endAfterEach();

describe('the options of an Upgrader', () => {
  it('are read once, also for its routes', () => {
    const options: UpgraderOptions = { handshakeTimeout: 10 };
    const upgrader = new Upgrader(options);
    Object.assign(options, { handshakeTimeout: -1 });
    const routes = { '/a': route({ readLimit: 1 }, () => {}) };
    expect(() => upgrader.handler(routes)).not.toThrow();
  });
});

describe('new Upgrader', () => {
  it.each([
    { compresion: true },
    { routes: {} },
    { subProtocols: ['a'] },
    { subprotocols: 'a' },
    { subprotocols: ['a b'] },
    { subprotocols: [''] },
    { subprotocols: [5] },
    { subprotocols: ['a\r\nb'] },
    { allowedOrigins: 'https://a' },
    { allowedOrigins: ['https://a'], checkOrigin: () => true },
    { checkOrigin: true },
    { authenticate: {} },
    { clientAddress: 'x' },
    { error: 1 },
    { report: null },
    { maxConnections: '5' },
    { handshakeTimeout: '5' },
  ])('refuses $0 with a TypeError', (options) => {
    const make = (): unknown => new Upgrader(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(Object.keys(options)[0]);
  });

  it.each([
    { handshakeTimeout: 0 },
    { handshakeTimeout: 2 ** 31 },
    { handshakeTimeout: Number.NaN },
    { maxConnections: 0 },
    { maxConnections: 1.5 },
    { maxHandshakes: -1 },
    { limits: [{ by: 'address', connections: Number.NaN }] } as const,
    { maxTotalBufferedAmount: 0 },
    { readLimit: -5 },
  ])('refuses $0 with a RangeError', (options) => {
    expect(() => new Upgrader(options)).toThrow(RangeError);
  });

  it('refuses a value that is not an object', () => {
    expect(() => new Upgrader(null as never)).toThrow(TypeError);
    expect(() => new Upgrader(5 as never)).toThrow(TypeError);
  });

  it('accepts options that are undefined or switched off', () => {
    const upgrader = new Upgrader({
      subprotocols: undefined,
      maxConnections: false,
      maxHandshakes: false,
      limits: undefined,
      handshakes: undefined,
      maxTotalBufferedAmount: false,
      handshakeTimeout: false,
    });
    expect(upgrader).toBeInstanceOf(Upgrader);
  });

  it('bounds the number and the time of handshakes by default', () => {
    expect(checkUpgraderOptions({})).toMatchObject({
      handshakeTimeout: 10_000,
      maxTotalBufferedAmount: expect.toSatisfy((bytes: number) => bytes <= totalmem() / 8),
      limits: {
        maxHandshakes: 1_024,
        maxConnections: Infinity,
        pace: undefined,
        entries: [],
      },
    });
  });

  it.each([
    { says: 'a container', constrained: 8_000, expected: 1_000 },
    { says: 'no bound', constrained: 0, expected: Math.floor(totalmem() / 8) },
    {
      says: 'a bound above the machine',
      constrained: 2 ** 63,
      expected: Math.floor(totalmem() / 8),
    },
  ])('lets an eighth of the memory wait by default: $says', ({ constrained, expected }) => {
    const memory = vi.spyOn(process, 'constrainedMemory').mockReturnValue(constrained);
    onTestFinished(() => memory.mockRestore());
    expect(checkUpgraderOptions({}).maxTotalBufferedAmount).toBe(expected);
  });

  it('passes the settings of connections on', async () => {
    const server = await listening(new Upgrader({ readLimit: 4 }));
    const client = await connected(server);
    await client.upgrade({ behind: masked(1, 'too long') });
    await client.until(() => client.received.length >= 4);
    expect(client.received.readUInt16BE(2)).toBe(1009);
    expect(KEY.length).toBe(24);
    client.stream.end();
    await ((await server.outcome()) as Conn).closed;
  });
});
