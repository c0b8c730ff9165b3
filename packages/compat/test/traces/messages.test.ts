import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { describe } from 'vitest';
import { closed, masked, samePair, sameRaw, sameSide, sameTrace } from '../trace.ts';

/** Data of every kind that `send` takes. */
const DATA: readonly [name: string, data: () => unknown][] = [
  ['a string', () => 'hello'],
  ['text that is not ASCII', () => 'grüß dich, 世界 🚀'],
  ['a lone surrogate', () => 'a\ud800b'],
  ['an empty string', () => ''],
  ['a number', () => 42],
  ['zero', () => 0],
  ['undefined', () => undefined],
  ['null', () => null],
  ['a Buffer', () => Buffer.from('bytes')],
  ['a view', () => new Uint16Array([1, 2, 3])],
  ['a DataView', () => new DataView(new ArrayBuffer(3), 1)],
  ['an ArrayBuffer', () => new ArrayBuffer(4)],
  ['an array of numbers', () => [1, 2, 300]],
  ['a Blob', () => new Blob(['blob', 'by'])],
  ['200 characters', () => 'x'.repeat(200)],
  ['70,000 characters', () => 'é'.repeat(35_000)],
  ['70,000 bytes', () => Buffer.alloc(70_000, 7)],
];

describe.each([['server'], ['client']] as const)('send by the %s', (side) => {
  for (const [name, data] of DATA) {
    sameSide(side, `sends ${name}`, async ({ ws: from, peer: to }, scene) => {
      from.send(data() as string, scene.callback(side, 'send'));
      await once(to, 'message');
      to.close();
    });
  }

  for (const none of [null, false] as const) {
    sameTrace(`takes ${none} for no callback`, async (scene) => {
      const { server, client } = await scene.pair();
      const [from, to] = side === 'server' ? [server, client] : [client, server];
      from.send('one', none as never);
      from.send('two', {}, none as never);
      from.ping('three', undefined, none as never);
      await once(to, 'ping');
      to.close();
      await closed(server, client);
      from.send('late', none as never);
      from.ping('late', undefined, none as never);
    });
  }

  for (const view of [
    (memory: ArrayBuffer) => new Uint8Array(memory),
    (memory: ArrayBuffer) => new Float32Array(memory),
    (memory: ArrayBuffer) => new DataView(memory),
    (memory: ArrayBuffer) => memory,
  ]) {
    const { name } = view(new ArrayBuffer(8)).constructor;
    sameSide(side, `rejects a transferred ${name}`, ({ ws: from }, scene) => {
      const memory = new ArrayBuffer(8);
      const data = view(memory);
      structuredClone(memory, { transfer: [memory] });
      scene.attempt(side, 'send', () => from.send(data, { binary: true }));
      scene.attempt(side, 'ping', () => from.ping(data));
      from.close();
    });
  }

  for (const value of [{}, true, Symbol('x'), () => {}]) {
    sameSide(side, `rejects ${typeof value}`, ({ ws: from }, scene) => {
      scene.attempt(side, 'send', () => from.send(value as never));
      from.close();
    });
  }

  for (const options of [
    { binary: true },
    { binary: false },
    { compress: true },
    { fin: true },
    { fin: 1 as never, compress: 1 as never },
    { compress: undefined, binary: undefined },
    {},
  ]) {
    sameSide(side, `honours ${JSON.stringify(options)}`, async ({ ws: from, peer: to }, scene) => {
      from.send('text', options, scene.callback(side, 'send'));
      from.send(Buffer.from('bytes'), options);
      await once(to, 'message');
      from.close();
    });
  }

  sameSide(side, 'sends fragments', async ({ ws: from, peer: to }, scene) => {
    from.send('one', { fin: false }, scene.callback(side, 'first'));
    from.ping('between');
    from.send('', { fin: false });
    from.send('two', { fin: true }, scene.callback(side, 'last'));
    from.send(Buffer.from('a'), { fin: false });
    from.send(Buffer.from('b'));
    await once(to, 'message');
    from.close();
  });

  sameSide(
    side,
    'keeps the order of messages, pings and their callbacks',
    async ({ ws: from, peer: to }, scene) => {
      for (let i = 0; i < 20; i++) {
        from.send(`message ${i}`, scene.callback(side, `send ${i}`));
        if (i % 5 === 0) from.ping(`ping ${i}`, undefined, scene.callback(side, `ping ${i}`));
        if (i % 7 === 0) from.pong(`pong ${i}`, undefined, scene.callback(side, `pong ${i}`));
      }
      from.send(new Blob(['a blob']), scene.callback(side, 'blob'));
      from.send('after the blob', scene.callback(side, 'after'));
      from.ping('last');
      await once(to, 'ping');
      await once(from, 'pong');
      from.close(1000, 'done');
    },
  );

  sameSide(side, 'calls every callback in the async context of its call', ({ ws: from }, scene) => {
    const context = new AsyncLocalStorage<string>();
    const log = (): void => scene.log(side, 'context', context.getStore() ?? 'none');
    for (const name of ['one', 'two']) {
      context.run(name, () => {
        from.send(name, log);
        from.ping(name, undefined, log);
      });
    }
    from.close();
  });

  sameSide(
    side,
    'calls every callback of a message in the state of that time',
    ({ ws: from }, scene) => {
      from.send('x', () => {
        scene.log(side, 'state', from.readyState);
        from.close();
        scene.log(side, 'state', from.readyState);
      });
    },
  );
});

describe.each([['server'], ['client']] as const)('a Blob of the %s', (side) => {
  sameSide(side, 'that cannot be read ends the connection', async ({ ws }, scene) => {
    const blob = Object.assign(new Blob(['x']), {
      arrayBuffer: () => Promise.reject(new Error('of the blob')),
    });
    await new Promise((resolve) => ws.send('before', resolve));
    ws.send(blob as never, scene.callback(side, 'blob'));
    ws.send('after', scene.callback(side, 'after'));
  });
});

describe('binaryType', () => {
  for (const type of ['nodebuffer', 'arraybuffer', 'fragments', 'blob']) {
    samePair(`gives ${type}`, ({ server, client }, scene) => {
      scene.log('client', client.binaryType);
      client.binaryType = type as never;
      scene.log('client', client.binaryType);
      server.send(Buffer.from('whole'));
      server.send(Buffer.alloc(0));
      server.send(Buffer.from('one'), { fin: false });
      server.send(Buffer.from('two'));
      server.send('text');
      server.send('te', { fin: false });
      server.send('xt');
      server.send(Buffer.alloc(70_000, 1));
      server.close();
    });
  }

  for (const type of ['fragments', 'blob']) {
    sameTrace(`gives ${type} of compressed messages by frame`, async (scene) => {
      const options = { perMessageDeflate: { threshold: 0 } };
      const { server, client } = await scene.pair(options, options);
      client.binaryType = type as never;
      client.on('message', (data: unknown) => {
        const parts = Array.isArray(data) ? (data as Buffer[]).map(({ length }) => length) : [];
        scene.log('sizes', ...parts);
      });
      server.send(Buffer.alloc(100_000, 1));
      server.send(Buffer.alloc(50_000, 2), { fin: false });
      server.send(Buffer.alloc(0), { fin: false });
      server.send(Buffer.alloc(60_000, 3));
      server.send(Buffer.alloc(0));
      server.close();
      await closed(server, client);
    });
  }

  samePair('may change between messages and within a message', ({ server, client }) => {
    const types = ['arraybuffer', 'fragments', 'blob', 'nodebuffer'] as const;
    let at = 0;
    client.on('message', () => {
      client.binaryType = types[at++ % types.length] as 'nodebuffer';
    });
    for (let i = 0; i < 5; i++) server.send(Buffer.from(`${i}`));
    client.on('ping', () => {
      client.binaryType = 'fragments';
    });
    server.send(Buffer.from('a'), { fin: false });
    server.ping();
    server.send(Buffer.from('b'));
    server.close();
  });

  samePair('ignores an unknown type', ({ client }, scene) => {
    client.binaryType = 'foo' as never;
    scene.log('client', client.binaryType);
    client.close();
  });

  sameTrace('may be set while the client connects', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => {
      ws.send(Buffer.from('early'));
      ws.close();
    });
    const { port } = wss.address() as { port: number };
    const client = scene.client(`ws://127.0.0.1:${port}`);
    client.binaryType = 'arraybuffer';
    await closed(client);
  });
});

describe('ping and pong', () => {
  samePair('are answered and emitted', ({ server, client }, scene) => {
    client.ping();
    client.ping('data');
    client.ping(Buffer.from('bytes'), true);
    client.ping(7, undefined, scene.callback('client', 'ping'));
    client.ping('x', scene.callback('client', 'ping 2') as never);
    client.ping(scene.callback('client', 'ping 3'));
    client.pong(scene.callback('client', 'pong'));
    client.pong('unasked');
    server.ping('x'.repeat(125));
    server.on('pong', () => server.close());
  });

  samePair('are not masked when the argument is null', ({ client }) => {
    client.ping('data', null as never);
  });

  samePair('take a Blob, and keep their place', ({ server }, scene) => {
    const blob = (text: string): never => new Blob([text]) as never;
    server.ping(blob('one'), false, scene.callback('server', 'ping') as never);
    server.send('two');
    server.pong(blob('three'), false, scene.callback('server', 'pong') as never);
    server.ping('four');
    server.send(blob('five'));
    scene.attempt('server', 'ping', () => server.ping(blob('x'.repeat(126))));
    server.close();
  });

  samePair('reject more than 125 bytes', ({ client }, scene) => {
    for (const party of ['ping', 'pong'] as const) {
      scene.attempt('client', party, () => client[party]('x'.repeat(126)));
      scene.attempt('client', party, () => client[party]({} as never));
    }
    client.close();
  });

  sameTrace('are not answered without autoPong', async (scene) => {
    const { server, client } = await scene.pair({ autoPong: false });
    client.ping('ignored');
    await once(server, 'ping');
    server.pong('by hand');
    await once(client, 'pong');
    client.close();
    await closed(server, client);
  });

  sameTrace('are not answered by a client without autoPong', async (scene) => {
    const { server, client } = await scene.pair({}, { autoPong: false });
    server.ping('ignored');
    await once(client, 'ping');
    server.close();
    await closed(server, client);
  });
});

describe('before and after the open state', () => {
  sameTrace('methods throw while the client connects', async (scene) => {
    const wss = await scene.serve();
    const { port } = wss.address() as { port: number };
    const client = scene.client(`ws://127.0.0.1:${port}`);
    scene.attempt('client', 'send', () => client.send('x'));
    scene.attempt('client', 'ping', () => client.ping());
    scene.attempt('client', 'pong', () => client.pong());
    scene.attempt('client', 'pause', () => client.pause());
    scene.attempt('client', 'resume', () => client.resume());
    scene.log('client', client.isPaused, client.bufferedAmount, client.extensions, client.protocol);
    await once(client, 'open');
    client.close();
    await closed(client);
  });

  sameTrace('callbacks get an error after the close', async (scene) => {
    const { server, client } = await scene.pair();
    client.close();
    for (const name of ['send', 'ping', 'pong'] as const) {
      scene.attempt('client', name, () =>
        client[name]('later', undefined as never, scene.callback('client', name)),
      );
    }
    client.send('no callback');
    client.send(new Blob(['four']));
    scene.log('client', 'buffered', client.bufferedAmount > 0);
    await closed(server, client);
    scene.log('client', 'buffered', client.bufferedAmount);
    client.send('12345');
    client.ping('123');
    scene.log('client', 'buffered', client.bufferedAmount);
    scene.attempt('client', 'send', () => client.send('x', scene.callback('client', 'send')));
    scene.attempt('client', 'close', () => client.close());
    scene.attempt('client', 'terminate', () => client.terminate());
    await new Promise(setImmediate);
  });
});

describe('callbacks of messages before and after the close', () => {
  samePair('come in the order of the calls', ({ server }, scene) => {
    for (const data of ['one', 'two']) server.send(data, scene.callback('server', data));
    server.close();
    server.send('three', scene.callback('server', 'three'));
    server.ping('four', undefined, scene.callback('server', 'four'));
  });

  samePair('come in the order of the calls of a listener', ({ server, client }, scene) => {
    server.on('message', () => {
      server.send('one', scene.callback('server', 'one'));
      server.close();
      server.send('two', scene.callback('server', 'two'));
    });
    client.send('go');
  });
});

describe('pause and resume', () => {
  sameTrace('hold back messages', async (scene) => {
    const { server, client } = await scene.pair();
    client.pause();
    scene.log('client', client.isPaused);
    server.send('held');
    await new Promise((resolve) => {
      server.send('held too', resolve);
    });
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    scene.log('client', 'resumes');
    client.resume();
    scene.log('client', client.isPaused);
    await once(client, 'message');
    server.close();
    await closed(server, client);
    client.pause();
    scene.log('client', client.isPaused);
    client.resume();
    scene.log('client', client.isPaused);
  });

  sameRaw('let the messages of a chunk pass', async ({ server, socket }) => {
    server.once('message', () => server.pause());
    socket.write(
      Buffer.from('818100000000618181000000006281810000000063'.replace('818181', '8181'), 'hex'),
    );
    await once(server, 'message');
    socket.end();
    server.resume();
  });

  samePair(
    'deliver the rest when the peer closes a paused connection',
    async ({ server, client }) => {
      server.pause();
      client.send('one');
      client.send('two');
      client.close(1000, 'bye');
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
      server.resume();
    },
  );
});

describe('allowSynchronousEvents', () => {
  for (const allow of [true, false]) {
    sameTrace(`${allow}: events and ticks come in the same order`, async (scene) => {
      const { server, socket } = await scene.rawClient({ allowSynchronousEvents: allow });
      server.on('message', (data) => {
        process.nextTick(() => scene.log('server', 'tick after', String(data)));
        void Promise.resolve().then(() => scene.log('server', 'microtask after', String(data)));
      });
      const frame = (text: string): Buffer =>
        Buffer.concat([Buffer.from([0x81, 0x80 + text.length, 0, 0, 0, 0]), Buffer.from(text)]);
      const ping = Buffer.from([0x89, 0x80, 0, 0, 0, 0]);
      const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
      const close = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
      socket.write(Buffer.concat([frame('a'), ping, frame('b'), pong, frame('c'), close]));
      await closed(server);
    });
  }

  sameTrace('terminate in a listener drops nothing that was read', async (scene) => {
    const { server, socket } = await scene.rawClient({ allowSynchronousEvents: false });
    server.once('message', () => server.terminate());
    socket.write(Buffer.from('8181000000006181810000000062', 'hex'));
    await closed(server);
  });

  for (const size of [1, 0xffff]) {
    sameTrace(`false: whether ${size} bytes that wait pause the stream`, async (scene) => {
      const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
      const server = new scene.ws(null as never, undefined, {});
      scene.watch('server', server);
      const { setSocket } = server as never as {
        setSocket(socket: Duplex, head: Buffer, options: object): void;
      };
      setSocket.call(server, stream, Buffer.alloc(0), { allowSynchronousEvents: false });
      for (const event of ['pause', 'resume']) stream.on(event, () => scene.log('server', event));
      stream.push(masked(0x82, Buffer.alloc(size)));
      await once(server, 'message');
      stream.push(null);
      await closed(server);
    });
  }
});
