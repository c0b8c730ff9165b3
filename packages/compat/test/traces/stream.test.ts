import { once } from 'node:events';
import type { Duplex, DuplexOptions } from 'node:stream';
import { describe } from 'vitest';
import { closed, type Scene, sameTrace, urlOf } from '../trace.ts';

function watchStream(scene: Scene, party: string, stream: Duplex): Duplex {
  for (const event of ['end', 'finish', 'error', 'close', 'drain']) {
    stream.on(event, (...args) => scene.log(party, 'stream', event, ...args));
  }
  return stream;
}

async function streamPair(scene: Scene, options: DuplexOptions = {}): ReturnType<typeof openPair> {
  return openPair(scene, options);
}

async function openPair(scene: Scene, options: DuplexOptions) {
  const { server, client } = await scene.pair();
  const stream = watchStream(scene, 'client', scene.ws.createWebSocketStream(client, options));
  return { server, client, stream };
}

describe('createWebSocketStream', () => {
  sameTrace('reads and writes', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    stream.on('data', (chunk) => scene.log('client', 'data', chunk));
    stream.write('hello', scene.callback('client', 'write'));
    await once(server, 'message');
    server.send('answer');
    server.send(Buffer.from('bytes'));
    await once(stream, 'data');
    stream.end();
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('gives strings in readableObjectMode', async (scene) => {
    const { server, client, stream } = await streamPair(scene, { readableObjectMode: true });
    stream.on('data', (chunk) => scene.log('client', 'data', chunk));
    server.send('text');
    server.send(Buffer.from('bytes'));
    server.close();
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('waits for the open connection', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => ws.on('message', (data) => scene.log('server', String(data))));
    const client = scene.client(urlOf(wss));
    const stream = watchStream(scene, 'client', scene.ws.createWebSocketStream(client));
    stream.resume();
    stream.write('early', scene.callback('client', 'write'));
    stream.end(scene.callback('client', 'end'));
    await closed(client);
    await closedStream(stream);
  });

  sameTrace('ignores methods among its options', async (scene) => {
    const { server, client, stream } = await streamPair(scene, {
      read: () => scene.log('client', 'read'),
      write: (_chunk, _encoding, done) => done(new Error('write')),
      final: (done) => done(new Error('final')),
      destroy: (_error, done) => done(new Error('destroy')),
    });
    stream.resume();
    stream.end('hello', scene.callback('client', 'end'));
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('ends when the peer closes', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    stream.resume();
    server.close(1001, 'away');
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('destroy terminates', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    stream.destroy();
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('destroy with an error', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    stream.destroy(new Error('mine'));
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('destroy after the end', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    server.close();
    await closed(server, client);
    stream.destroy();
    await closedStream(stream);
  });

  sameTrace('fails with the reason of a signal that was aborted before', async (scene) => {
    const { client } = await scene.pair();
    const signal = AbortSignal.abort();
    const stream = scene.ws.createWebSocketStream(client, { signal });
    stream.on('error', (error) => scene.log('stream', error));
    await closedStream(stream);
  });

  sameTrace('fails with the connection', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    (server as never as { _socket: Duplex })._socket.write(Buffer.from('8500', 'hex'));
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('fails with the handshake', async (scene) => {
    const { url } = await scene.rawServer((_request, socket) => socket.destroy());
    const client = scene.client(url);
    const stream = watchStream(scene, 'client', scene.ws.createWebSocketStream(client));
    stream.write('x', scene.callback('client', 'write'));
    await closed(client);
    await closedStream(stream);
  });

  sameTrace('pauses the connection while it is not read', async (scene) => {
    const { server, client, stream } = await streamPair(scene, { readableHighWaterMark: 10 });
    for (let i = 0; i < 6; i++) server.send('x'.repeat(10));
    await once(client, 'message');
    scene.log('client', 'paused', client.isPaused);
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes === 60) server.close();
    });
    await closed(server, client);
    scene.log('client', bytes);
    await closedStream(stream);
  });

  sameTrace('has the options of a stream, except four', async (scene) => {
    const options = {
      readableHighWaterMark: 7,
      objectMode: true,
      decodeStrings: false,
      allowHalfOpen: false,
      emitClose: true,
      autoDestroy: true,
    };
    const { client, stream } = await streamPair(scene, options);
    const { readableHighWaterMark, writableHighWaterMark, allowHalfOpen } = stream;
    scene.log('stream', readableHighWaterMark, writableHighWaterMark, allowHalfOpen);
    scene.log('stream', stream.readableObjectMode, stream.writableObjectMode);
    client.terminate();
    await closedStream(stream);
  });

  for (const allowHalfOpen of [true, false]) {
    sameTrace(`the peer closes, allowHalfOpen ${allowHalfOpen}`, async (scene) => {
      const { server, client, stream } = await streamPair(scene, { allowHalfOpen });
      stream.resume();
      server.close();
      await closed(server, client);
      await later();
      scene.log('stream', stream.destroyed, stream.writable);
      stream.end();
      await later();
      scene.log('stream', stream.destroyed, stream.writable);
    });
  }

  sameTrace('write after terminate fails', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    client.terminate();
    stream.write('x', scene.callback('client', 'write'));
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('write after close fails', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    stream.resume();
    server.close();
    await closed(server, client);
    stream.write('x', scene.callback('client', 'write'));
    await closedStream(stream);
  });

  sameTrace('write after end fails', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    stream.resume();
    stream.end('last');
    stream.write('late', scene.callback('client', 'write'));
    await closed(server, client);
    await closedStream(stream);
  });

  sameTrace('destroy while the client connects', async (scene) => {
    const wss = await scene.serve();
    const client = scene.client(urlOf(wss));
    const stream = watchStream(scene, 'client', scene.ws.createWebSocketStream(client));
    stream.destroy();
    await closed(client);
    await closedStream(stream);
  });

  sameTrace('end while the client connects, and the handshake fails', async (scene) => {
    const { url } = await scene.rawServer((_request, socket) => {
      socket.end('HTTP/1.1 500 No\r\nConnection: close\r\n\r\n');
    });
    const client = scene.client(url);
    const stream = watchStream(scene, 'client', scene.ws.createWebSocketStream(client));
    stream.end('x', scene.callback('client', 'end'));
    await closed(client);
    await closedStream(stream);
  });

  sameTrace('write returns false above the high-water mark, and drains', async (scene) => {
    const { server, client, stream } = await streamPair(scene, { writableHighWaterMark: 100 });
    let bytes = 0;
    server.on('message', (data: Buffer) => {
      bytes += data.length;
    });
    for (let i = 0; i < 4; i++) scene.log('client', 'write', stream.write('x'.repeat(40)));
    await once(stream, 'drain');
    stream.end();
    stream.resume();
    await closed(server, client);
    scene.log('server', bytes);
    await closedStream(stream);
  });

  sameTrace('corked chunks are messages', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    stream.cork();
    stream.write('a');
    stream.write(Buffer.from('b'));
    stream.write('é', 'latin1');
    stream.uncork();
    stream.end();
    stream.resume();
    await closed(server, client);
    await closedStream(stream);
  });

  for (const type of ['arraybuffer', 'fragments'] as const) {
    for (const readableObjectMode of [true, false]) {
      sameTrace(`binaryType ${type}, readableObjectMode ${readableObjectMode}`, async (scene) => {
        const { server, client, stream } = await streamPair(scene, { readableObjectMode });
        client.binaryType = type;
        stream.on('data', (chunk) => scene.log('client', 'data', chunk));
        stream.on('error', () => {});
        let thrown: unknown;
        const listener = client.listeners('message')[0] as (...args: unknown[]) => void;
        client.removeListener('message', listener);
        client.on('message', (...args) => {
          try {
            listener.apply(client, args);
          } catch (error) {
            thrown = (error as NodeJS.ErrnoException).code;
          }
        });
        server.send(Buffer.from('bytes'));
        server.send('text');
        server.close();
        await closed(server, client);
        scene.log('client', 'threw', thrown);
        stream.destroy();
        await closedStream(stream);
      });
    }
  }
});

async function closedStream(stream: Duplex): Promise<void> {
  if (!stream.closed) await Promise.race([once(stream, 'close').catch(() => {}), later()]);
  await later();
}

async function later(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
}
