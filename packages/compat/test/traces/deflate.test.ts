import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import zlib from 'node:zlib';
import { describe } from 'vitest';
import { connectOverStreams } from '../stream-pair.ts';
import { closed, masked, portOf, type Scene, sameTrace, urlOf } from '../trace.ts';

/** Texts and bytes that compress well, badly, and not at all. */
const MESSAGES: readonly (string | Buffer)[] = [
  'x',
  'hello hello hello',
  '',
  'a'.repeat(2000),
  Buffer.from('bytes'.repeat(500)),
  Buffer.alloc(100_000, 'abc'),
  'grüße 🚀'.repeat(1000),
];

/** Messages in both directions, logged by a digest of their content. */
async function exchange(scene: Scene, serverSide: object, clientSide: object): Promise<void> {
  const { server, client } = await scene.pair(serverSide, clientSide);
  scene.log('both', server.extensions, client.extensions);
  let echoed = 0;
  server.on('message', (data, isBinary) => server.send(data, { binary: isBinary }));
  for (const message of [...MESSAGES, ...MESSAGES])
    client.send(message, scene.callback('sends', 'send'));
  await new Promise<void>((resolve) => {
    client.on('message', () => {
      if (++echoed === 2 * MESSAGES.length) resolve();
    });
  });
  client.close(1000, 'done');
  await closed(server, client);
}

const SETTINGS: readonly [server: object | boolean, client: object | boolean][] = [
  [true, true],
  [true, false],
  [false, true],
  [{ threshold: 0 }, { threshold: 0 }],
  [{ serverNoContextTakeover: true }, { clientNoContextTakeover: true }],
  [{ serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 10 }, true],
  [{ serverMaxWindowBits: 9, clientMaxWindowBits: 9 }, true],
  [{ clientMaxWindowBits: 9 }, { clientMaxWindowBits: 10 }],
  [{ serverMaxWindowBits: false }, true],
  [{ zlibDeflateOptions: { level: 9, memLevel: 9 }, concurrencyLimit: 2 }, true],
];

describe('permessage-deflate', () => {
  for (const [serverSide, clientSide] of SETTINGS) {
    sameTrace(`exchanges messages: ${JSON.stringify([serverSide, clientSide])}`, async (scene) => {
      await exchange(scene, { perMessageDeflate: serverSide }, { perMessageDeflate: clientSide });
    });
  }

  sameTrace('leaves bytes alone that a stream has not sent yet', async (scene) => {
    const { server, client } = await connectOverStreams(scene, {
      perMessageDeflate: { threshold: 0 },
    });
    const last = new Promise<void>((resolve) => {
      client.on('message', (data) => String(data) === 'end' && resolve());
    });
    for (const text of ['one '.repeat(50), 'two '.repeat(60), 'three '.repeat(70), 'end']) {
      server.send(text, scene.callback('callbacks', text.slice(0, 5)));
    }
    await last;
    client.close(1000);
    await closed(server, client);
  });

  sameTrace('compresses fragments', async (scene) => {
    const { server, client } = await scene.pair({ perMessageDeflate: true });
    client.send('a'.repeat(3000), { fin: false });
    client.send('', { fin: false });
    client.ping('between');
    client.send('b'.repeat(3000), { fin: true });
    client.send('plain', { compress: false });
    client.send('c', { compress: true, fin: false });
    client.send('d');
    server.binaryType = 'fragments';
    client.close();
    await closed(server, client);
  });

  const offers = [
    'permessage-deflate',
    'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
    'permessage-deflate; server_max_window_bits=10; client_max_window_bits',
    'permessage-deflate; client_max_window_bits=10',
    'permessage-deflate; client_max_window_bits=12',
    'permessage-deflate; server_max_window_bits=7',
    'permessage-deflate; server_max_window_bits=16',
    'permessage-deflate; client_max_window_bits="10"',
    'permessage-deflate; server_max_window_bits',
    'permessage-deflate; server_no_context_takeover=1',
    'permessage-deflate; foo',
    'permessage-deflate; server_no_context_takeover; server_no_context_takeover',
    'permessage-deflate; server_max_window_bits=8, permessage-deflate',
    'foo, permessage-deflate; server_max_window_bits=12',
    'foo',
    '',
  ];
  const options = [
    {},
    { serverNoContextTakeover: false },
    { serverNoContextTakeover: true, clientNoContextTakeover: true },
    { serverMaxWindowBits: 11 },
    { clientMaxWindowBits: 11 },
    { serverMaxWindowBits: false, clientMaxWindowBits: false },
  ];
  for (const offer of offers) {
    sameTrace(`the server answers ${offer}`, async (scene) => {
      for (const perMessageDeflate of options) {
        const wss = await scene.serve({ perMessageDeflate });
        const req = request({
          port: portOf(wss),
          host: '127.0.0.1',
          headers: {
            Connection: 'Upgrade',
            Upgrade: 'websocket',
            'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
            'Sec-WebSocket-Version': 13,
            'Sec-WebSocket-Extensions': offer,
          },
        });
        req.end();
        const [res, socket] = (await Promise.race([
          once(req, 'upgrade'),
          once(req, 'response'),
        ])) as [IncomingMessage, Socket?];
        scene.log('answer', JSON.stringify(perMessageDeflate), res.statusCode);
        scene.log('answer', res.headers['sec-websocket-extensions']);
        socket?.destroy();
        res.destroy();
      }
    });
  }

  const offered = [
    {},
    { serverNoContextTakeover: true, clientNoContextTakeover: true },
    { serverMaxWindowBits: 10, clientMaxWindowBits: 10 },
    { serverMaxWindowBits: true, clientMaxWindowBits: true },
    { clientMaxWindowBits: false },
    { clientNoContextTakeover: false },
  ];
  for (const perMessageDeflate of offered) {
    sameTrace(`the client offers ${JSON.stringify(perMessageDeflate)}`, async (scene) => {
      const wss = await scene.serve();
      wss.on('connection', (ws, req) => {
        scene.log('server', req.headers['sec-websocket-extensions']);
        ws.close();
      });
      await closed(scene.client(urlOf(wss), { perMessageDeflate } as never));
    });
  }
});

describe('a compressed message', () => {
  const flushed = (data: string | Buffer): Buffer =>
    zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  const raw = (data: string | Buffer): Buffer => flushed(data).subarray(0, -4);
  const extension = ['Sec-WebSocket-Extensions: permessage-deflate'];
  const cases: [string, Buffer][] = [
    ['whole', masked(0xc1, raw('hello'))],
    [
      'in fragments',
      Buffer.concat([
        masked(0x41, raw('hello').subarray(0, 3)),
        masked(0x80, raw('hello').subarray(3)),
      ]),
    ],
    ['empty', masked(0xc1, Buffer.from([0]))],
    ['without RSV1', masked(0x81, 'plain')],
    ['RSV1 in a continuation', Buffer.concat([masked(0x41, raw('a')), masked(0xc0, raw('b'))])],
    ['RSV1 in a ping', masked(0xc9)],
    ['RSV1 and RSV2', masked(0xe1)],
    ['not UTF-8', masked(0xc1, raw(Buffer.from([0xff])))],
    ['above maxPayload', masked(0xc2, raw(Buffer.alloc(5000)))],
    ['above maxPayload on the wire', masked(0xc2, Buffer.alloc(1200, 1))],
    [
      'fragments above maxPayload',
      Buffer.concat([
        masked(0x42, flushed(Buffer.alloc(900))),
        masked(0x80, raw(Buffer.alloc(900))),
      ]),
    ],
    ['of maxPayload', masked(0xc2, raw(Buffer.alloc(1000)))],
  ];
  for (const [name, bytes] of cases) {
    sameTrace(name, async (scene) => {
      const options = { perMessageDeflate: true, maxPayload: 1000 };
      const { server, socket } = await scene.rawClient(options, extension);
      socket.write(bytes);
      socket.write(masked(0x88));
      await closed(server);
    });
  }
});
