import { once } from 'node:events';
import { runInNewContext } from 'node:vm';
import { describe } from 'vitest';
import { closed, masked, samePair, sameRaw, sameSide, sameTrace } from '../trace.ts';

const BAD_CODES = [
  0,
  999,
  999.5,
  1004,
  1005,
  1006,
  1015,
  1016,
  2999,
  5000,
  65536,
  '1000',
  null,
  {},
  NaN,
];

describe.each([['server'], ['client']] as const)('close by the %s', (side) => {
  samePair('takes the bytes of another realm as a reason', ({ server, client }) => {
    const reason = runInNewContext('Uint8Array.of(0x6f, 0x6b)') as Buffer;
    (side === 'server' ? server : client).close(1000, reason);
  });

  for (const args of [
    [],
    [1000],
    [1001, 'going away'],
    [3000, Buffer.from('bytes')],
    [4999, 'x'.repeat(123)],
    [1014],
    [1000.5],
    [1000, ''],
    [1000, 'grüße'],
  ] as [number, string][]) {
    sameSide(side, `sends ${JSON.stringify(args)}`, ({ ws }, scene) => {
      scene.attempt(side, 'close', () => ws.close(...args));
      scene.log(side, ws.readyState);
      scene.attempt(side, 'close again', () => ws.close(1001));
    });
  }

  for (const code of BAD_CODES) {
    sameSide(side, `rejects the code ${String(code)}`, ({ ws }, scene) => {
      scene.attempt(side, 'close', () => ws.close(code as number));
      scene.log(side, ws.readyState);
      ws.terminate();
    });
  }

  for (const reason of ['x'.repeat(124), 'é'.repeat(62), {}, 7, [1, 2], null]) {
    sameSide(
      side,
      `answers the reason ${JSON.stringify(reason)?.slice(0, 10)}`,
      ({ ws }, scene) => {
        scene.attempt(side, 'close', () => ws.close(1000, reason as string));
        scene.log(side, ws.readyState);
        ws.terminate();
      },
    );
  }

  sameSide(side, 'comes after all messages', ({ ws }, scene) => {
    for (let i = 0; i < 5; i++) ws.send(`${i}`, scene.callback(side, `send ${i}`));
    ws.close(1000, 'bye');
  });

  sameSide(side, 'still emits the messages of the peer', ({ ws, peer }) => {
    peer.send('crossing');
    peer.send('crossing too');
    ws.close();
  });

  samePair('and by the peer at the same time', ({ server, client }) => {
    server.close(1001, 'server');
    client.close(1000, 'client');
  });

  sameSide(side, 'in a listener for messages', ({ ws, peer }) => {
    ws.on('message', () => ws.close(4000, 'enough'));
    peer.send('1');
    peer.send('2');
    peer.send('3');
  });

  sameSide(side, 'terminate ends without a close frame', ({ ws }, scene) => {
    ws.send('sent', scene.callback(side, 'send'));
    scene.attempt(side, 'terminate', () => ws.terminate());
    scene.log(side, ws.readyState);
    ws.send('late', scene.callback(side, 'late'));
    scene.attempt(side, 'close', () => ws.close());
    scene.attempt(side, 'terminate', () => ws.terminate());
  });

  sameSide(side, 'terminate after close', ({ ws }) => {
    ws.close(1000);
    ws.terminate();
  });

  sameSide(side, 'destroying the socket', ({ ws }) => {
    (ws as never as { _socket: { destroy(error?: Error): void } })._socket.destroy();
  });

  sameSide(side, 'destroying the socket with an error', ({ ws }, scene) => {
    ws.send('x', scene.callback(side, 'send'));
    (ws as never as { _socket: { destroy(error?: Error): void } })._socket.destroy(
      new Error('boom'),
    );
    ws.send('y', scene.callback(side, 'late'));
  });

  sameSide(side, 'sending after the end of the socket', ({ ws }, scene) => {
    (ws as never as { _socket: { end(): void } })._socket.end();
    ws.send('late', (error) => scene.log(side, ws.readyState, error));
  });

  sameSide(side, 'ending the socket', ({ ws }, scene) => {
    (ws as never as { _socket: { end(): void } })._socket.end();
    ws.send('late', scene.callback(side, 'late'));
  });

  sameTrace('closeTimeout ends a handshake that hangs', async (scene) => {
    const { server, client } = await scene.pair({ closeTimeout: 20 }, { closeTimeout: 20 });
    const [ws, peer] = side === 'server' ? [server, client] : [client, server];
    peer.pause();
    ws.close(1000);
    await closed(ws);
    peer.resume();
    await closed(peer);
  });
});

describe('a close frame of the peer', () => {
  const frames: [string, Buffer][] = [
    ['without a code', masked(0x88)],
    ['with 1000', masked(0x88, Buffer.from([3, 232]))],
    ['with a reason', masked(0x88, Buffer.from([15, 160, 104, 105]))],
    ['with one byte', masked(0x88, Buffer.from([3]))],
    ['with 1005', masked(0x88, Buffer.from([3, 237]))],
    ['with 999', masked(0x88, Buffer.from([3, 231]))],
    ['with text that is not UTF-8', masked(0x88, Buffer.from([3, 232, 0xff]))],
  ];
  for (const [name, frame] of frames) {
    sameRaw(`${name} is answered`, ({ socket }) => {
      socket.write(frame);
    });

    sameRaw(`${name} after ours`, async ({ server, socket }) => {
      server.close(1001);
      await new Promise(setImmediate);
      socket.write(frame);
    });
  }

  sameRaw('in the middle of a message', ({ socket }) => {
    socket.write(Buffer.concat([masked(0x01, 'half'), masked(0x88, Buffer.from([3, 232]))]));
  });

  sameRaw('with more frames after it', ({ socket }) => {
    socket.write(Buffer.concat([masked(0x88), masked(0x81, 'ignored'), masked(0x83)]));
  });
});

describe('the end of the stream', () => {
  for (const [name, bytes] of [
    ['at once', Buffer.alloc(0)],
    ['after a message', masked(0x81, 'whole')],
    ['in a frame', masked(0x81, 'whole').subarray(0, 8)],
    ['in a message', masked(0x01, 'half')],
  ] as const) {
    sameRaw(`${name}: FIN`, ({ socket }) => {
      socket.end(bytes);
    });

    sameRaw(`${name}: RST`, async ({ socket }) => {
      if (bytes.length > 0) await new Promise((resolve) => socket.write(bytes, resolve));
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
      // After a late timer the server has not read yet.
      for (let i = 0; i < 10; i++) await new Promise(setImmediate);
      socket.resetAndDestroy();
    });
  }

  sameTrace('with messages that were not sent', async (scene) => {
    const { server, socket } = await scene.rawClient();
    socket.end();
    await once(server, 'close');
    server.send('late', scene.callback('server', 'send'));
    await new Promise(setImmediate);
  });
});
