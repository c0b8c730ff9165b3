import { once } from 'node:events';
import { runInNewContext } from 'node:vm';
import { describe } from 'vitest';
import { closed, masked, samePair, sameTrace } from '../trace.ts';

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
    samePair(`sends ${JSON.stringify(args)}`, ({ server, client }, scene) => {
      const ws = side === 'server' ? server : client;
      scene.attempt(side, 'close', () => ws.close(...args));
      scene.log(side, ws.readyState);
      scene.attempt(side, 'close again', () => ws.close(1001));
    });
  }

  for (const code of BAD_CODES) {
    samePair(`rejects the code ${String(code)}`, ({ server, client }, scene) => {
      const ws = side === 'server' ? server : client;
      scene.attempt(side, 'close', () => ws.close(code as number));
      scene.log(side, ws.readyState);
      ws.terminate();
    });
  }

  for (const reason of ['x'.repeat(124), 'é'.repeat(62), {}, 7, [1, 2], null]) {
    samePair(
      `answers the reason ${JSON.stringify(reason)?.slice(0, 10)}`,
      ({ server, client }, scene) => {
        const ws = side === 'server' ? server : client;
        scene.attempt(side, 'close', () => ws.close(1000, reason as string));
        scene.log(side, ws.readyState);
        ws.terminate();
      },
    );
  }

  samePair('comes after all messages', ({ server, client }, scene) => {
    const ws = side === 'server' ? server : client;
    for (let i = 0; i < 5; i++) ws.send(`${i}`, scene.callback(side, `send ${i}`));
    ws.close(1000, 'bye');
  });

  samePair('still emits the messages of the peer', ({ server, client }) => {
    const [ws, peer] = side === 'server' ? [server, client] : [client, server];
    peer.send('crossing');
    peer.send('crossing too');
    ws.close();
  });

  samePair('and by the peer at the same time', ({ server, client }) => {
    server.close(1001, 'server');
    client.close(1000, 'client');
  });

  samePair('in a listener for messages', ({ server, client }) => {
    const [ws, peer] = side === 'server' ? [server, client] : [client, server];
    ws.on('message', () => ws.close(4000, 'enough'));
    peer.send('1');
    peer.send('2');
    peer.send('3');
  });

  samePair('terminate ends without a close frame', ({ server, client }, scene) => {
    const ws = side === 'server' ? server : client;
    ws.send('sent', scene.callback(side, 'send'));
    scene.attempt(side, 'terminate', () => ws.terminate());
    scene.log(side, ws.readyState);
    ws.send('late', scene.callback(side, 'late'));
    scene.attempt(side, 'close', () => ws.close());
    scene.attempt(side, 'terminate', () => ws.terminate());
  });

  samePair('terminate after close', ({ server, client }) => {
    const ws = side === 'server' ? server : client;
    ws.close(1000);
    ws.terminate();
  });

  samePair('destroying the socket', ({ server, client }) => {
    const ws = side === 'server' ? server : client;
    (ws as never as { _socket: { destroy(error?: Error): void } })._socket.destroy();
  });

  samePair('destroying the socket with an error', ({ server, client }, scene) => {
    const ws = side === 'server' ? server : client;
    ws.send('x', scene.callback(side, 'send'));
    (ws as never as { _socket: { destroy(error?: Error): void } })._socket.destroy(
      new Error('boom'),
    );
    ws.send('y', scene.callback(side, 'late'));
  });

  samePair('sending after the end of the socket', ({ server, client }, scene) => {
    const ws = side === 'server' ? server : client;
    (ws as never as { _socket: { end(): void } })._socket.end();
    ws.send('late', (error) => scene.log(side, ws.readyState, error));
  });

  samePair('ending the socket', ({ server, client }, scene) => {
    const ws = side === 'server' ? server : client;
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
    sameTrace(`${name} is answered`, async (scene) => {
      const { server, socket } = await scene.rawClient();
      socket.write(frame);
      await closed(server);
    });

    sameTrace(`${name} after ours`, async (scene) => {
      const { server, socket } = await scene.rawClient();
      server.close(1001);
      await new Promise(setImmediate);
      socket.write(frame);
      await closed(server);
    });
  }

  sameTrace('in the middle of a message', async (scene) => {
    const { server, socket } = await scene.rawClient();
    socket.write(Buffer.concat([masked(0x01, 'half'), masked(0x88, Buffer.from([3, 232]))]));
    await closed(server);
  });

  sameTrace('with more frames after it', async (scene) => {
    const { server, socket } = await scene.rawClient();
    socket.write(Buffer.concat([masked(0x88), masked(0x81, 'ignored'), masked(0x83)]));
    await closed(server);
  });
});

describe('the end of the stream', () => {
  for (const [name, bytes] of [
    ['at once', Buffer.alloc(0)],
    ['after a message', masked(0x81, 'whole')],
    ['in a frame', masked(0x81, 'whole').subarray(0, 8)],
    ['in a message', masked(0x01, 'half')],
  ] as const) {
    sameTrace(`${name}: FIN`, async (scene) => {
      const { server, socket } = await scene.rawClient();
      socket.end(bytes);
      await closed(server);
    });

    sameTrace(`${name}: RST`, async (scene) => {
      const { server, socket } = await scene.rawClient();
      if (bytes.length > 0) await new Promise((resolve) => socket.write(bytes, resolve));
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
      socket.resetAndDestroy();
      await closed(server);
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
