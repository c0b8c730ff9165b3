import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { stoppedClock } from '@ws/tests';
import { describe, expect, test, vi } from 'vitest';
import WebSocket, { PerMessageDeflate, Receiver, Sender, WebSocketServer } from '../src/index.ts';
import { implementations, masked, Scene, sameTrace } from './trace.ts';

type Pair = Awaited<ReturnType<Scene['pair']>>;

interface Internals {
  _socket: Socket;
  _sender: Sender;
}

function insides(ws: unknown): Internals {
  return ws as Internals;
}

/** A test of this package alone. */
function alone(name: string, program: (scene: Scene) => Promise<void>): void {
  test(name, async () => {
    const scene = new Scene(implementations.compat);
    try {
      await program(scene);
    } finally {
      await scene.end();
    }
  });
}

/** The chunks that are written to a socket from now on. */
function written(socket: Socket): Buffer[] {
  const chunks: Buffer[] = [];
  const { write } = socket;
  socket.write = ((chunk: Buffer, ...args: never[]) => {
    chunks.push(chunk);
    return (write as (...all: unknown[]) => boolean).call(socket, chunk, ...args);
  }) as Socket['write'];
  return chunks;
}

/** Ends the time in which a new connection does not delay the first message of a turn. */
async function sendSeveral({ server, client }: Pair): Promise<void> {
  server.send('first');
  server.send('second');
  client.ping();
  await once(client, 'pong');
}

describe('coalescing', () => {
  stoppedClock();

  alone(
    'writes the first two messages of a turn together, and each later one at once',
    async (scene) => {
      const pair = await scene.pair();
      const { server, client } = pair;
      await sendSeveral(pair);
      const writes = written(insides(server)._socket);
      for (let i = 2; i < 10; i++) server.send(`message ${i}`);
      server.ping('and a ping');
      expect(writes.length).toBe(8);
      await once(client, 'ping');
      expect(writes.length).toBe(8);
      expect(scene.trace['client']?.filter((line) => line.includes('message'))).toHaveLength(10);
    },
  );

  alone(
    'writes the first message of a turn at once until a turn has more, and again after three of one',
    async (scene) => {
      const { server } = await scene.pair();
      const writes = written(insides(server)._socket);
      const turns: string[] = [];
      for (const messages of [2, 1, 1, 1, 1, 3, 3, 1, 1, 3]) {
        const before = writes.length;
        for (let i = 0; i < messages; i++) server.send('message');
        const atOnce = writes.length - before;
        await new Promise(setImmediate);
        turns.push(`${messages} messages: ${atOnce} of ${writes.length - before} writes at once`);
      }
      expect(turns).toEqual([
        '2 messages: 2 of 2 writes at once',
        '1 messages: 0 of 1 writes at once',
        '1 messages: 0 of 1 writes at once',
        '1 messages: 0 of 1 writes at once',
        '1 messages: 1 of 1 writes at once',
        '3 messages: 3 of 3 writes at once',
        '3 messages: 2 of 2 writes at once',
        '1 messages: 0 of 1 writes at once',
        '1 messages: 0 of 1 writes at once',
        '3 messages: 2 of 2 writes at once',
      ]);
    },
  );

  alone('writes a message of more than 4 KiB without delay, and those before it', async (scene) => {
    const pair = await scene.pair();
    const { server, client } = pair;
    await sendSeveral(pair);
    const writes = written(insides(server)._socket);
    server.send('small');
    expect(writes.length).toBe(0);
    server.send('x'.repeat(4097));
    expect(writes.length).toBe(1);
    const [first] = (await once(client, 'message')) as [Buffer];
    expect(String(first)).toBe('small');
  });

  alone('writes all answers to a chunk at once', async (scene) => {
    const { server, socket } = await scene.rawClient();
    server.on('message', (data) => server.send(data));
    const writes = written(insides(server)._socket);
    socket.write(Buffer.concat(Array.from({ length: 10 }, (_, i) => masked(0x81, `${i}`))));
    await once(socket, 'data');
    expect(writes.length).toBe(1);
  });

  alone('writes answers at once when a handler computes between them', async (scene) => {
    const { server, socket } = await scene.rawClient();
    const atOnce: number[] = [];
    const writes = written(insides(server)._socket);
    const clock = vi.mocked(performance.now);
    server.on('message', () => {
      for (let i = 0; i < 4; i++) {
        server.send(`${i}`);
        atOnce.push(writes.length);
        clock.mockReturnValue(performance.now() + 150);
      }
    });
    socket.write(masked(0x81, 'go'));
    await once(socket, 'data');
    expect(atOnce).toEqual([0, 1, 2, 3]);
  });

  alone('keeps the order with bytes that a program writes to the socket', async (scene) => {
    const { server, client } = await scene.pair();
    server.send('1');
    insides(server)._socket.write(Buffer.from('810132', 'hex'));
    server.send('3');
    const { _socket: socket } = insides(server);
    socket.write(Buffer.from('810134', 'hex'));
    server.send('5');
    server.close();
    await once(client, 'close');
    const messages = scene.trace['client']?.filter((line) => line.includes('message'));
    expect(messages).toEqual(
      ['31', '32', '33', '34', '35'].map((byte) => `[1] message Buffer(${byte}) false`),
    );
  });

  alone('sends what was sent before terminate and before destroy', async (scene) => {
    for (const end of ['terminate', 'destroy'] as const) {
      const { server, client } = await scene.pair();
      const got = once(client, 'message');
      server.send('last words');
      if (end === 'terminate') server.terminate();
      else insides(server)._socket.destroy();
      expect(String((await got)[0])).toBe('last words');
    }
  });

  alone('sends compressed messages before terminate, and large ones as they are', async (scene) => {
    const deflate = { perMessageDeflate: { threshold: 0 } };
    const { server, client } = await scene.pair(deflate, deflate);
    const got: number[] = [];
    server.on('message', (data) => got.push((data as Buffer).length));
    const bytes = written(insides(client)._socket);
    for (const size of [262_144, 262_145, 5]) client.send(Buffer.alloc(size, 'abc'));
    client.terminate();
    await once(server, 'close');
    expect(got).toEqual([262_144, 262_145, 5]);
    expect(Buffer.concat(bytes).length).toBeLessThan(262_145 + 2_000);
  });

  alone('counts frames in bufferedAmount while the socket has a backlog', async (scene) => {
    const { server } = await scene.pair();
    server.send('x'.repeat(100));
    expect(server.bufferedAmount).toBe(0);
    const { _socket: socket } = insides(server);
    socket.cork();
    server.send('x'.repeat(100));
    expect(server.bufferedAmount).toBe(102);
    expect(insides(server)._socket.writableLength).toBe(102);
    expect(server.bufferedAmount).toBe(102);
    socket.uncork();
  });

  alone('does not change or keep the bytes of the application', async (scene) => {
    const { server, client } = await scene.pair();
    for (const size of [10, 1000, 40_000, 100_000]) {
      for (const [from, to] of [
        [server, client],
        [client, server],
      ] as const) {
        const bytes = Buffer.alloc(size, 7);
        const got = once(to, 'message');
        from.send(bytes);
        expect(bytes.equals(Buffer.alloc(size, 7))).toBe(true);
        if (size < 32_768 || from === client) bytes.fill(0);
        const [data] = (await got) as [Buffer];
        expect(data.equals(Buffer.alloc(size, 7))).toBe(true);
      }
    }
  });
});

describe('Sender', () => {
  sameTrace('builds the frames of ws', async (scene) => {
    const { Sender: Theirs } = scene.ws as unknown as { Sender: typeof Sender };
    for (const size of [0, 1, 125, 126, 65_535, 65_536]) {
      for (const options of [
        { opcode: 1, fin: true },
        { opcode: 2, fin: false, rsv1: true },
        { opcode: 0, fin: true, readOnly: true, mask: false },
        {
          opcode: 9,
          fin: true,
          mask: true,
          readOnly: true,
          generateMask: (key: Buffer) => void key.fill(3),
        },
      ]) {
        const list = Theirs.frame(Buffer.alloc(size, 5), options);
        const bytes = Buffer.concat(list.map((part) => Buffer.from(part as string)));
        scene.log(
          'frame',
          JSON.stringify(options),
          size,
          bytes.toString('hex').slice(0, 100),
          bytes.length,
        );
      }
    }
    scene.log('frame', Theirs.frame('text' as never, { opcode: 1, fin: true }).length);
  });

  alone('calls a sendFrame that a program has replaced', async (scene) => {
    const { server, client } = await scene.pair();
    const { _sender: sender } = insides(server);
    const frames: string[] = [];
    const { sendFrame } = sender;
    sender.sendFrame = (list, callback) => {
      frames.push(Buffer.concat(list.map((part) => Buffer.from(part as string))).toString('hex'));
      sendFrame.call(sender, list, callback);
    };
    server.send('hi');
    server.ping();
    const called = new Promise((resolve) => void server.send(Buffer.from([1]), resolve));
    await called;
    server.close();
    await once(client, 'close');
    expect(frames).toEqual(['81026869', '8900', '820101', '8800']);
    expect(scene.trace['client']).toContain('[1] message Buffer(6869) false');
  });
});

describe('a frame for many sockets', () => {
  stoppedClock();

  alone('is encoded once: the same bytes are written to all of them', async (scene) => {
    const wss = await scene.serve();
    const servers: unknown[] = [];
    wss.on('connection', (ws) => servers.push(ws));
    const { port } = wss.address() as AddressInfo;
    const clients = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const client = scene.watch('client', new WebSocket(`ws://127.0.0.1:${port}`) as never);
        await once(client, 'open');
        return client;
      }),
    );
    const chunks = servers.map((ws) => written(insides(ws)._socket));
    const lists = ['one', 'two', 'three'].map((text) =>
      Sender.frame(Buffer.from(text), { opcode: 1, fin: true, readOnly: true, mask: false }),
    );
    let called = 0;
    for (const list of lists) {
      for (const ws of servers) insides(ws)._sender.sendFrame(list, () => void called++);
    }
    await Promise.all(clients.map((client) => once(client, 'message')));
    expect(called).toBe(15);
    expect(chunks.flat()).toHaveLength(5);
    expect(new Set(chunks.flat()).size).toBe(1);
    expect(String(chunks[0])).toContain('three');
  });

  alone('is one copy for all sockets that have bytes left, when it is large', async (scene) => {
    const chunks: Buffer[][] = [];
    const list = Sender.frame(Buffer.alloc(16_384, 1), { opcode: 2, fin: true });
    const servers: { terminate(): void }[] = [];
    for (let i = 0; i < 2; i++) {
      const { server, client } = await scene.pair();
      client.pause();
      server.send(Buffer.alloc(2 ** 24));
      const socket = insides(server)._socket;
      expect(socket.writableLength).toBeGreaterThan(0);
      chunks.push(written(socket));
      servers.push(server);
    }
    for (const server of servers) insides(server)._sender.sendFrame(list);
    await new Promise((resolve) => void setImmediate(resolve));
    const [one, other] = chunks.flat();
    expect(chunks.map(([chunk]) => chunk!.length)).toEqual([16_388, 16_388]);
    expect(one!.buffer).toBe(other!.buffer);
    for (const server of servers) server.terminate();
  });

  alone('leaves in one write with the frames that its callback sends', async (scene) => {
    const { server, client } = await scene.pair();
    const { _sender: sender, _socket: socket } = insides(server);
    const chunks = written(socket);
    const frameOf = (text: string) => Sender.frame(Buffer.from(text), { opcode: 1, fin: true });
    const sent = new Promise((resolve) => {
      sender.sendFrame(frameOf('a'), () => {
        sender.sendFrame(frameOf('b'), resolve);
      });
    });
    await Promise.all([sent, once(client, 'message')]);
    expect(chunks.map((chunk) => chunk.toString('hex'))).toEqual(['810161810162']);
  });

  alone('gives its callback the error of a socket that has ended', async (scene) => {
    const { server, client } = await scene.pair();
    const { _sender: sender, _socket: socket } = insides(server);
    socket.end();
    const error = await new Promise<Error | null | undefined>((resolve) => {
      sender.sendFrame(Sender.frame(Buffer.from('a'), { opcode: 1, fin: true }), resolve);
    });
    expect(error).toMatchObject({ code: 'ERR_STREAM_WRITE_AFTER_END' });
    if (client.readyState !== 3) await once(client, 'close');
  });

  alone('comes in order with other frames', async (scene) => {
    const { server, client } = await scene.pair();
    const { _sender: sender } = insides(server);
    const list = Sender.frame(Buffer.from('shared'), { opcode: 1, fin: true });
    server.send('before');
    sender.sendFrame(list);
    sender.sendFrame(list);
    server.send('after');
    sender.sendFrame(list);
    insides(server)._socket.write(Buffer.from('810178', 'hex'));
    server.close();
    await once(client, 'close');
    const texts = scene.trace['client']?.filter((line) => line.includes('message'));
    const words = ['before', 'shared', 'shared', 'after', 'shared', 'x'];
    expect(texts).toEqual(
      words.map((word) => `[1] message Buffer(${Buffer.from(word).toString('hex')}) false`),
    );
  });

  alone('is not confused with another frame of the same bytes', async (scene) => {
    const { server, client } = await scene.pair();
    const bytes = Buffer.from('same');
    const { _sender: sender } = insides(server);
    sender.sendFrame(Sender.frame(bytes, { opcode: 1, fin: true }));
    sender.sendFrame(Sender.frame(bytes, { opcode: 2, fin: true }));
    server.close();
    await once(client, 'close');
    expect(scene.trace['client']?.slice(2, 4)).toEqual([
      '[1] message Buffer(73616d65) false',
      '[1] message Buffer(73616d65) true',
    ]);
  });
});

describe('Receiver', () => {
  for (const [name, options, chunks] of [
    ['messages', {}, ['8105 68656c6c6f 8202 0102', '01 01 61 80 01 62']],
    ['control frames', {}, ['8901 61 8a01 62 8802 03e8 8101 63']],
    [
      'asynchronous events',
      { allowSynchronousEvents: false },
      ['8101 61 8101 62 8900 8101 63 8800'],
    ],
  ] as const) {
    sameTrace(`emits ${name}`, async (scene) => {
      const { Receiver: Theirs } = scene.ws as unknown as { Receiver: typeof Receiver };
      const receiver = new Theirs({ ...options });
      for (const event of ['message', 'ping', 'pong', 'conclude', 'error', 'finish', 'close']) {
        receiver.on(event, (...args) => scene.log('receiver', event, ...args));
      }
      for (const chunk of chunks) {
        receiver.write(
          Buffer.from(chunk.replaceAll(' ', ''), 'hex'),
          scene.callback('receiver', 'write') as never,
        );
      }
      for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    });
  }

  test('continues after a listener that throws', async () => {
    const receiver = new Receiver();
    const texts: string[] = [];
    receiver.on('message', (data) => {
      texts.push(String(data));
      if (texts.length === 1) throw new Error('mine');
    });
    expect(() => receiver.write(Buffer.from('810161810162810163', 'hex'))).toThrow('mine');
    for (let i = 0; i < 3; i++) await new Promise(setImmediate);
    expect(texts).toEqual(['a', 'b', 'c']);
  });

  test('rejects a length that is not minimal', async () => {
    const receiver = new Receiver();
    receiver.write(Buffer.from('817e000161', 'hex'));
    const [error] = await once(receiver, 'error');
    expect(error).toMatchObject({ code: 'WS_ERR_NON_MINIMAL_PAYLOAD_LENGTH' });
  });

  test.each([
    ['16 bits', '827e4e20', 3],
    ['64 bits', '827f000000000001117000', 8],
  ])(
    'EB5 refuses a length above maxPayload as soon as its bytes show it: %s',
    (_, frame, bytes) => {
      const receiver = new Receiver({ maxPayload: 1000 });
      receiver.on('error', () => {});
      let read = 0;
      for (const byte of Buffer.from(frame, 'hex')) {
        if (receiver.errored !== null) break;
        receiver.write(Buffer.of(byte));
        read++;
      }
      expect(read).toBe(bytes);
      expect(receiver.errored).toMatchObject({ code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' });
    },
  );

  test('reports invalid compressed data with the code of zlib', async () => {
    const deflate = new PerMessageDeflate();
    deflate.accept([{}]);
    const receiver = new Receiver({ extensions: { 'permessage-deflate': deflate } });
    receiver.write(Buffer.from('c103ffffff', 'hex'));
    const [error] = await once(receiver, 'error');
    expect(error).toMatchObject({ code: 'Z_DATA_ERROR', errno: -3 });
  });
});

describe('PerMessageDeflate', () => {
  sameTrace('compresses and decompresses', async (scene) => {
    const { PerMessageDeflate: Theirs } = scene.ws as unknown as {
      PerMessageDeflate: typeof PerMessageDeflate;
    };
    scene.log('class', Theirs.extensionName);
    const [one, other] = [new Theirs(), new Theirs({ isServer: true })];
    scene.log('offer', JSON.stringify(one.offer()));
    scene.log('answer', JSON.stringify(other.accept([{ client_max_window_bits: [true] }])));
    scene.log('accepted', JSON.stringify(one.accept([{}])), JSON.stringify(other.params));
    for (const text of ['hello', '', 'x'.repeat(5000), 'hello']) {
      const packed = await new Promise<Buffer>((resolve, reject) => {
        one.compress(Buffer.from(text), true, (error, data) =>
          error ? reject(error) : resolve(data!),
        );
      });
      const plain = await new Promise<Buffer>((resolve, reject) => {
        other.decompress(packed, true, (error, data) => (error ? reject(error) : resolve(data!)));
      });
      scene.log('text', String(plain) === text);
    }
    one.cleanup();
    other.cleanup();
  });

  sameTrace('fails a compression that cleanup interrupts', async (scene) => {
    const { PerMessageDeflate: Theirs } = scene.ws as unknown as {
      PerMessageDeflate: typeof PerMessageDeflate;
    };
    const deflate = new Theirs({ threshold: 0 });
    deflate.accept([{}]);
    const called = new Promise<void>((resolve) => {
      deflate.compress('A'.repeat(50), false, (error) => {
        scene.log('deflate', error);
        resolve();
      });
    });
    process.nextTick(() => deflate.cleanup());
    await called;
  });
});

alone(
  'a connection that ends within a fragmented message releases its compressor',
  async (scene) => {
    // Of one thread, 64 messages in fragments are compressed at a time.
    for (let i = 0; i < 70; i++) {
      const { server, client } = await scene.pair({ perMessageDeflate: true });
      server.send('the first fragment of a message', { fin: false });
      const closed = Promise.all([once(server, 'close'), once(client, 'close')]);
      client.terminate();
      await closed;
    }
    const deflate = new PerMessageDeflate();
    deflate.accept([{}]);
    const stream = deflate.stream();
    expect(stream).toBeDefined();
    stream!.release();
  },
);

alone('an empty buffer that the application detaches is not one of ours', async (scene) => {
  const { server, client } = await scene.pair();
  client.binaryType = 'arraybuffer';
  const sizes: number[] = [];
  const detach = (memory: ArrayBuffer): void => {
    sizes.push(memory.byteLength);
    structuredClone(memory, { transfer: [memory] });
  };
  client.on('message', (data: ArrayBuffer | Buffer) => {
    detach(data instanceof ArrayBuffer ? data : (data.buffer as ArrayBuffer));
  });
  client.on('ping', ({ buffer }: Buffer) => detach(buffer as ArrayBuffer));
  client.on('close', (_code: number, { buffer }: Buffer) => detach(buffer as ArrayBuffer));
  for (let i = 0; i < 2; i++) {
    server.send('');
    server.send(Buffer.alloc(0));
    server.ping();
  }
  server.close();
  await once(client, 'close');
  expect(sizes).toEqual([0, 0, 0, 0, 0, 0, 0]);
});

describe('a stream that is no socket', () => {
  test('carries a connection, in both directions', async () => {
    const [toServer, toClient] = [new PassThrough(), new PassThrough()];
    const serverSide = Duplex.from({ readable: toServer, writable: toClient });
    const clientSide = Duplex.from({ readable: toClient, writable: toServer });
    const server = new WebSocket(null);
    const client = new WebSocket(null);
    client._isServer = false;
    const got: string[] = [];
    server.on('message', (data) => server.send(data));
    client.on('message', (data) => got.push(String(data)));
    server.setSocket(serverSide, Buffer.alloc(0), {});
    client.setSocket(clientSide, Buffer.alloc(0), {});
    for (let i = 0; i < 50; i++) client.send(`message ${i}`.repeat(i));
    client.close();
    await Promise.all([once(server, 'close'), once(client, 'close')]);
    expect(got).toEqual(Array.from({ length: 50 }, (_, i) => `message ${i}`.repeat(i)));
  });
});

test('many messages of a peer that does not read stay in order', async () => {
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(wss, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(wss.address() as AddressInfo).port}`);
  const [[server]] = (await Promise.all([once(wss, 'connection'), once(client, 'open')])) as [
    [WebSocket],
    unknown,
  ];
  client.pause();
  const count = 4000;
  for (let i = 0; i < count; i++) {
    server.send(Buffer.alloc(1 + ((i * 37) % 9000), i));
    if (i % 100 === 0) await new Promise(setImmediate);
  }
  expect(server.bufferedAmount).toBeGreaterThan(1024 * 1024);
  let next = 0;
  const all = new Promise<void>((resolve) => {
    client.on('message', (data: Buffer) => {
      expect(data.equals(Buffer.alloc(1 + ((next * 37) % 9000), next))).toBe(true);
      if (++next === count) resolve();
    });
  });
  client.resume();
  await all;
  client.terminate();
  await new Promise((resolve) => wss.close(resolve));
});

test('a Receiver with an unknown binaryType gives the frames of each message, as ws does', async () => {
  const receiver = new Receiver({ binaryType: 'unknown' as never });
  const messages: unknown[] = [];
  receiver.on('message', (data) => messages.push(data));
  receiver.write(Buffer.from('0201018001ff', 'hex'));
  receiver.end(Buffer.from('820102', 'hex'));
  await once(receiver, 'finish');
  expect(messages).toEqual([[Buffer.of(1), Buffer.of(0xff)], [Buffer.of(2)]]);
});
