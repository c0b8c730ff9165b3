import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe, onTestFinished, vi } from 'vitest';
import { closed, sameTrace, urlOf } from '../trace.ts';

const SHARED = [
  'allowSynchronousEvents',
  'autoPong',
  'maxBufferedChunks',
  'maxFragments',
  'maxPayload',
  'maxPendingAutoPongs',
  'skipUTF8Validation',
  'perMessageDeflate',
];
const OF_SERVERS = [
  'handleProtocols',
  'clientTracking',
  'verifyClient',
  'path',
  'backlog',
  'server',
];
const OF_CLIENTS = [
  'protocolVersion',
  'protocols',
  'followRedirects',
  'maxRedirects',
  'origin',
  'handshakeTimeout',
  'headers',
  'auth',
  'createConnection',
  'finishRequest',
  'generateMask',
  'agent',
  'defaultPort',
];
const OF_DEFLATE = [
  'threshold',
  'concurrencyLimit',
  'serverNoContextTakeover',
  'clientNoContextTakeover',
  'serverMaxWindowBits',
  'clientMaxWindowBits',
  'zlibDeflateOptions',
  'zlibInflateOptions',
];
const ABSENT: readonly [string, undefined | null][] = [
  ['undefined', undefined],
  ['null', null],
];

/** Opens a connection with one option, and uses what the options are about. */
function use(serverOptions: object, clientOptions: object): void {
  sameTrace('leaves the same trace', async (scene) => {
    const wss = await scene.serve(serverOptions);
    scene.watchServer('wss', wss);
    wss.on('connection', (ws) => {
      scene.watch('server', ws);
      ws.on('error', () => {});
      ws.on('message', (data, binary) => ws.send(data, { binary }));
    });
    let client: InstanceType<typeof scene.ws>;
    try {
      client = new scene.ws(urlOf(wss), clientOptions);
    } catch (error) {
      return scene.log('client', 'throws', error);
    }
    client.on('error', () => {});
    scene.watch('client', client);
    client.on('open', () => {
      scene.log('client', client.protocol, client.extensions, client.url);
      client.send('x'.repeat(2_000), { fin: false });
      client.send('y'.repeat(10));
      client.ping('p');
      client.once('message', () => {
        client.send(Buffer.alloc(3));
        client.once('message', () => client.close(1000, 'bye'));
      });
    });
    await closed(client);
    for (const ws of wss.clients ?? []) await closed(ws);
  });
}

describe.each(ABSENT)('an option that is %s', (_, value) => {
  for (const name of [...SHARED, ...OF_SERVERS]) {
    describe(`${name} of a server`, () => use({ [name]: value }, { closeTimeout: 1_000 }));
  }
  for (const name of [...SHARED, ...OF_CLIENTS]) {
    describe(`${name} of a client`, () => use({ perMessageDeflate: true }, { [name]: value }));
  }
  for (const name of OF_DEFLATE) {
    describe(`${name} of perMessageDeflate`, () => {
      use({ perMessageDeflate: { [name]: value } }, { perMessageDeflate: { [name]: value } });
    });
  }
});

describe('the time of a closing handshake', () => {
  /** A stream that never closes itself, as those of duplexify. */
  const endless = (): Duplex =>
    new Duplex({
      autoDestroy: false,
      read() {},
      write(_chunk, _encoding, taken) {
        taken();
      },
    });

  for (const [label, options] of [
    ['without options', {}],
    ['with closeTimeout: undefined', { closeTimeout: undefined }],
    ['with closeTimeout: null', { closeTimeout: null }],
    ['with closeTimeout: 0', { closeTimeout: 0 }],
  ] as const) {
    sameTrace(`is 1 ms for a connection of its own ${label}`, async (scene) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      onTestFinished(() => void vi.useRealTimers());
      const ws = new scene.ws(null as never, undefined, { isServer: false, ...options } as object);
      scene.watch('ws', ws);
      const socket = endless();
      (ws as unknown as { _isServer: boolean })._isServer = false;
      (ws as unknown as { setSocket(...args: unknown[]): void }).setSocket(
        socket,
        Buffer.alloc(0),
        { maxPayload: 0 },
      );
      ws.close(1000);
      vi.advanceTimersByTime(1);
      await once(ws, 'close');
    });
  }

  for (const side of ['server', 'client'] as const) {
    sameTrace(`is 1 ms with closeTimeout: undefined of a ${side}`, async (scene) => {
      const options = { closeTimeout: undefined };
      const { server, client } = await scene.pair(
        side === 'server' ? options : {},
        side === 'client' ? options : {},
      );
      const [ws, peer] = side === 'server' ? [server, client] : [client, server];
      peer.pause();
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      onTestFinished(() => void vi.useRealTimers());
      ws.close(1000);
      vi.advanceTimersByTime(1);
      await closed(ws);
      peer.terminate();
      await closed(peer);
    });
  }
});
