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

type Ends = Record<'server' | 'client', InstanceType<Scene['ws']>> & { stream: Duplex };

async function streamPair(scene: Scene, options: DuplexOptions = {}): Promise<Ends> {
  const { server, client } = await scene.pair();
  const stream = watchStream(scene, 'client', scene.ws.createWebSocketStream(client, options));
  return { server, client, stream };
}

/** As `samePair`, with a stream of the client, until that has closed too. */
function sameStream(title: string, program: (ends: Ends, scene: Scene) => unknown): void {
  sameTrace(title, async (scene) => {
    const ends = await streamPair(scene);
    await program(ends, scene);
    await closed(ends.server, ends.client);
    await closedStream(ends.stream);
  });
}

describe('createWebSocketStream', () => {
  sameStream('reads and writes', async ({ server, stream }, scene) => {
    stream.on('data', (chunk) => scene.log('client', 'data', chunk));
    stream.write('hello', scene.callback('client', 'write'));
    await once(server, 'message');
    server.send('answer');
    server.send(Buffer.from('bytes'));
    await once(stream, 'data');
    stream.end();
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

  sameStream('ends when the peer closes', ({ server, stream }) => {
    stream.resume();
    server.close(1001, 'away');
  });

  sameStream('destroy terminates', ({ stream }) => {
    stream.destroy();
  });

  sameStream('destroy with an error', ({ stream }) => {
    stream.destroy(new Error('mine'));
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

  sameStream('fails with the connection', ({ server }) => {
    (server as never as { _socket: Duplex })._socket.write(Buffer.from('8500', 'hex'));
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

  sameStream('write after terminate fails', ({ client, stream }, scene) => {
    client.terminate();
    stream.write('x', scene.callback('client', 'write'));
  });

  sameTrace('write after close fails', async (scene) => {
    const { server, client, stream } = await streamPair(scene);
    stream.resume();
    server.close();
    await closed(server, client);
    stream.write('x', scene.callback('client', 'write'));
    await closedStream(stream);
  });

  sameStream('write after end fails', ({ stream }, scene) => {
    stream.resume();
    stream.end('last');
    stream.write('late', scene.callback('client', 'write'));
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

  sameStream('corked chunks are messages', ({ stream }) => {
    stream.cork();
    stream.write('a');
    stream.write(Buffer.from('b'));
    stream.write('é', 'latin1');
    stream.uncork();
    stream.end();
    stream.resume();
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
