import { once } from 'node:events';
import type { Socket } from 'node:net';
import { constants, deflateRawSync } from 'node:zlib';
import { describe } from 'vitest';
import { closed, masked, samePair, sameRaw, sameTrace } from '../trace.ts';

const zero = Buffer.alloc(4);
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** First bytes of a frame that a server refuses, with what follows. */
const FAULTS: readonly [name: string, bytes: Buffer][] = [
  ['RSV1', hex('c1 80 00000000')],
  ['RSV2', hex('a1 80 00000000')],
  ['RSV3', hex('91 80 00000000')],
  ['all RSV', hex('f1 80 00000000')],
  ['RSV2 of a ping', hex('a9 80 00000000')],
  ['RSV1 of a ping', hex('c9 80 00000000')],
  ['opcode 3', hex('83 80 00000000')],
  ['opcode 7', hex('87 80 00000000')],
  ['opcode 11', hex('8b 80 00000000')],
  ['opcode 15', hex('8f 80 00000000')],
  ['a continuation without a message', hex('80 80 00000000')],
  ['an unfinished continuation without a message', hex('00 80 00000000')],
  ['a new message in a message', Buffer.concat([masked(0x01, 'a'), masked(0x82, 'b')])],
  ['a new text in a message', Buffer.concat([masked(0x02, 'a'), masked(0x81, 'b')])],
  ['a fragmented ping', hex('09 80 00000000')],
  ['a fragmented close', hex('08 80 00000000')],
  ['a ping of 126 bytes', hex('89 fe 007e 00000000')],
  ['a pong of 127', hex('8a ff 0000000000000001 00000000')],
  ['a close of one byte', hex('88 81 00000000 03')],
  ['an unmasked text', hex('81 01 61')],
  ['an unmasked ping', hex('89 00')],
  ['an unmasked close of one byte', hex('88 01 03')],
  ['an unmasked opcode 3', hex('83 00')],
  ['a length of 2^53', hex('82 ff 0020000000000000 00000000')],
  ['a length of 2^63', hex('82 ff 8000000000000000 00000000')],
  ['text that is not UTF-8', masked(0x81, hex('ce ba e1 bd b9 cf 83 ce bc ce b5 ed a0 80'))],
  [
    'a long text that is not UTF-8',
    masked(0x81, Buffer.concat([Buffer.alloc(5000, 97), hex('ff')])),
  ],
  ['an incomplete character', masked(0x81, hex('e4 b8'))],
  [
    'fragments that are not UTF-8',
    Buffer.concat([masked(0x01, hex('e4')), masked(0x80, hex('b8'))]),
  ],
];

describe('a fault of the client', () => {
  for (const [name, bytes] of FAULTS) {
    sameRaw(name, ({ socket }) => {
      socket.write(Buffer.concat([masked(0x81, 'before'), bytes]));
    });

    sameRaw(`${name}, after our close frame`, async ({ server, socket }) => {
      server.close(1000);
      await new Promise(setImmediate);
      socket.write(bytes);
    });

    sameRaw(`${name}, byte by byte, then FIN`, async ({ socket }) => {
      if (bytes.length < 40) {
        for (const byte of bytes) {
          socket.write(Uint8Array.of(byte));
          await new Promise(setImmediate);
        }
      }
      socket.end();
    });
  }
});

describe('a fault of the server', () => {
  for (const [name, bytes] of [
    ['a masked text', Buffer.concat([hex('81 81'), zero, Buffer.from('a')])],
    ['a masked ping', Buffer.concat([hex('89 80'), zero])],
    ['RSV1', hex('c1 00')],
    ['opcode 5', hex('85 00')],
    ['a continuation', hex('80 00')],
    ['not UTF-8', hex('81 01 ff')],
    ['a close of one byte', hex('88 01 00')],
    ['close code 1006', hex('88 02 03ee')],
  ] as const) {
    samePair(name, ({ server }) => {
      (server as never as { _socket: Socket })._socket.write(bytes);
    });
  }
});

describe('skipUTF8Validation', () => {
  sameTrace('lets invalid text pass', async (scene) => {
    const { server, socket } = await scene.rawClient({ skipUTF8Validation: true });
    socket.write(Buffer.concat([masked(0x81, hex('ff')), masked(0x88, hex('03e8 ff'))]));
    await closed(server);
  });
});

describe('limits', () => {
  for (const [name, bytes] of [
    ['a message of the limit', masked(0x82, Buffer.alloc(10))],
    ['a longer message', masked(0x82, Buffer.alloc(11))],
    [
      'longer fragments',
      Buffer.concat([masked(0x02, Buffer.alloc(6)), masked(0x80, Buffer.alloc(5))]),
    ],
    [
      'fragments of the limit',
      Buffer.concat([masked(0x02, Buffer.alloc(6)), masked(0x80, Buffer.alloc(4))]),
    ],
    ['a longer message of 16-bit length', masked(0x82, Buffer.alloc(300))],
    ['a longer message of 64-bit length', masked(0x82, Buffer.alloc(70_000))],
    ['a ping above the limit', masked(0x89, Buffer.alloc(20))],
  ] as const) {
    sameTrace(`maxPayload: ${name}`, async (scene) => {
      const { server, socket } = await scene.rawClient({ maxPayload: 10 });
      socket.write(bytes);
      socket.write(masked(0x88));
      await closed(server);
    });
  }

  sameTrace('maxPayload is a field of the parts', async (scene) => {
    interface Limited {
      _maxPayload?: number;
    }
    const options = { maxPayload: 1234, perMessageDeflate: true };
    const { server, client } = await scene.pair(options, options);
    for (const ws of [server, client]) {
      const { _receiver: receiver } = ws as unknown as {
        _receiver: Limited & { _extensions: Record<string, Limited> };
      };
      const deflate = receiver._extensions['permessage-deflate'];
      scene.log('parts', receiver._maxPayload, deflate?._maxPayload);
    }
    client.close();
    await closed(server, client);
  });

  for (const maxPayload of [0, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
    for (const perMessageDeflate of [false, true]) {
      const name = perMessageDeflate ? 'compressed' : 'plain';
      sameTrace(`maxPayload of ${maxPayload} is no limit, ${name}`, async (scene) => {
        const options = { maxPayload, perMessageDeflate };
        const { server, client } = await scene.pair(options, { perMessageDeflate });
        client.send(Buffer.alloc(300_000));
        await once(server, 'message');
        client.close();
        await closed(server, client);
      });
    }
  }

  sameTrace('maxFragments', async (scene) => {
    const { server, socket } = await scene.rawClient({ maxFragments: 3 });
    const fragments = [masked(0x02, 'a'), masked(0x00), masked(0x00, 'b'), masked(0x00, 'c')];
    socket.write(Buffer.concat([...fragments, masked(0x00, 'd')]));
    await closed(server);
  });

  sameTrace('maxFragments counts frames without bytes', async (scene) => {
    const { server, socket } = await scene.rawClient({ maxFragments: 3 });
    const empty = [masked(0x02), masked(0x00), masked(0x00), masked(0x00)];
    socket.write(Buffer.concat([masked(0x82, 'a'), masked(0x89), ...empty]));
    await closed(server);
  });

  sameTrace(
    'maxFragments counts the frames of a compressed message, not its parts',
    async (scene) => {
      const deflate = ['Sec-WebSocket-Extensions: permessage-deflate'];
      const options = { perMessageDeflate: true, maxFragments: 2, maxPayload: 1024 * 1024 };
      const { server, socket } = await scene.rawClient(options, deflate);
      const flush = { finishFlush: constants.Z_SYNC_FLUSH };
      const packed = deflateRawSync(Buffer.alloc(500_000, 7), flush).subarray(0, -4);
      const empty = Buffer.alloc(0);
      socket.write(masked(0xc2, packed));
      socket.write(Buffer.concat([masked(0x42, packed), masked(0x80)]));
      socket.write(Buffer.concat([masked(0x42, packed), masked(0x00, empty), masked(0x80)]));
      await closed(server);
    },
  );

  sameTrace('maxBufferedChunks', async (scene) => {
    const { server, socket } = await scene.rawClient({ maxBufferedChunks: 3 });
    const { _socket: input } = server as never as { _socket: Socket };
    const chunks = [masked(0x82, Buffer.alloc(20)).subarray(0, 6)];
    for (let i = 0; i < 6; i++) chunks.push(Buffer.alloc(1));
    // Each arrives alone.
    for (const chunk of chunks) {
      const arrived = new Promise((resolve) => {
        for (const event of ['data', 'close']) input.once(event, resolve);
      });
      socket.write(chunk);
      await arrived;
    }
    await closed(server);
  });

  sameRaw('a message that is sent before the error is emitted', ({ server, socket }) => {
    server.on('message', () => {
      process.nextTick(() => server.send('late'));
    });
    socket.write(Buffer.concat([masked(0x81, 'a'), masked(0x83)]));
  });

  sameRaw('a close that is called before the error is emitted', ({ server, socket }) => {
    server.on('message', () => process.nextTick(() => server.close(1001, 'away')));
    socket.write(Buffer.concat([masked(0x81, 'a'), masked(0x83)]));
  });

  sameTrace('maxPendingAutoPongs', async (scene) => {
    const { server, socket } = await scene.rawClient({ maxPendingAutoPongs: 2 });
    socket.write(Buffer.concat(Array.from({ length: 5 }, (_, i) => masked(0x89, `${i}`))));
    await once(server, 'ping');
    socket.write(masked(0x88));
    await closed(server);
  });
});
