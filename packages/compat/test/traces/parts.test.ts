import { Writable } from 'node:stream';
import { describe } from 'vitest';
import type { PerMessageDeflate, Receiver, Sender } from '../../src/index.ts';
import { type Scene, sameTrace } from '../trace.ts';

interface Parts {
  PerMessageDeflate: typeof PerMessageDeflate;
  Receiver: typeof Receiver;
  Sender: typeof Sender;
}

function partsOf(scene: Scene): Parts {
  return scene.ws as unknown as Parts;
}

/** What a `Sender` uses of a stream. */
function recorder(scene: Scene): never {
  const stream = {
    readable: true,
    writable: true,
    cork: () => scene.log('stream', 'cork'),
    uncork: () => scene.log('stream', 'uncork'),
    write: (chunk: Buffer | string, callback?: () => void) => {
      scene.log('stream', 'write', Buffer.from(chunk as string));
      if (callback !== undefined) process.nextTick(callback);
      return true;
    },
  };
  return stream as never;
}

/** As {@link recorder}, but logs all bytes when the program has ended. */
function byteRecorder(scene: Scene): never {
  const chunks: Buffer[] = [];
  scene.cleanup(() => scene.log('stream', Buffer.concat(chunks)));
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(chunk);
      callback();
    },
  }) as never;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

const constantMask = (key: Buffer): void => void key.fill(7);
const noMask = (key: Buffer): void => void key.fill(0);

function deflateOf(scene: Scene, options: object = {}): PerMessageDeflate {
  const deflate = new (partsOf(scene).PerMessageDeflate)({ threshold: 0, ...options });
  deflate.accept([{}]);
  return deflate;
}

describe('a Sender on a stream other than a socket', () => {
  const payloads: Readonly<Record<string, () => unknown>> = {
    'a text': () => 'hi',
    'an empty text': () => '',
    'a text of two bytes a letter': () => 'äöü',
    'a Buffer': () => Buffer.from('hi'),
    'an empty Buffer': () => Buffer.alloc(0),
    'a Uint8Array': () => new Uint8Array([0x68, 0x69]),
    'an ArrayBuffer': () => new Uint8Array([0x68, 0x69]).buffer,
    'a DataView': () => new DataView(new Uint8Array([1, 2, 3]).buffer, 1, 2),
    'a Blob': () => new Blob(['hi']),
  };
  for (const [name, payload] of Object.entries(payloads)) {
    for (const mask of [false, true]) {
      sameTrace(`${name}, mask ${mask}`, async (scene) => {
        const stream = mask ? byteRecorder(scene) : recorder(scene);
        const sender = new (partsOf(scene).Sender)(stream, {}, constantMask);
        for (const fin of [false, true]) {
          sender.send(payload(), { fin, mask, binary: true }, scene.callback('sender', 'send'));
          await turns(3);
        }
        for (const type of ['ping', 'pong'] as const) {
          sender[type](payload(), mask, scene.callback('sender', type));
          await turns(3);
        }
        sender.close(1000, 'bye', mask, scene.callback('sender', 'close'));
        await turns(1);
      });
    }
  }

  sameTrace('a list of frames', async (scene) => {
    const { Sender: Theirs } = partsOf(scene);
    const sender = new Theirs(recorder(scene));
    for (const mask of [false, true]) {
      for (const readOnly of [false, true]) {
        const options = { opcode: 2, fin: true, mask, readOnly, generateMask: constantMask };
        for (const data of [Buffer.from('data'), Buffer.alloc(0), 'text', '']) {
          sender.sendFrame(Theirs.frame(data, options), scene.callback('sender', 'frame'));
          await turns(1);
        }
      }
    }
  });

  sameTrace('a frame with a key of zeros', async (scene) => {
    const { Sender: Theirs } = partsOf(scene);
    for (const readOnly of [false, true]) {
      const options = { opcode: 2, fin: true, mask: true, readOnly, generateMask: noMask };
      for (const data of [Buffer.from('data'), Buffer.alloc(0), 'text']) {
        scene.log('sender', readOnly, ...Theirs.frame(data, options));
      }
    }
  });

  sameTrace('a key in the given buffer', async (scene) => {
    const maskBuffer = Buffer.alloc(4);
    const generateMask = (key: Buffer): void => {
      scene.log('sender', 'key', key === maskBuffer);
      key.fill(3);
    };
    const options = { opcode: 1, fin: true, mask: true, readOnly: true, maskBuffer, generateMask };
    scene.log('sender', ...partsOf(scene).Sender.frame(Buffer.from('abc'), options));
  });

  sameTrace('the fragments of a compressed message', async (scene) => {
    const { Sender: Theirs } = partsOf(scene);
    const sender = new Theirs(recorder(scene), { 'permessage-deflate': deflateOf(scene) });
    for (const [data, fin] of [
      ['a'.repeat(10), false],
      ['b'.repeat(10), false],
      ['', true],
    ] as const) {
      const sent = new Promise<unknown>((resolve) => {
        sender.send(data, { compress: true, fin }, resolve);
      });
      await sent;
    }
  });

  sameTrace('nothing for a code or reason that must not be sent', async (scene) => {
    const sender = new (partsOf(scene).Sender)(recorder(scene));
    for (const code of ['error', 1004, 999, 5000, null, Number.NaN]) {
      scene.attempt('sender', `close ${String(code)}`, () =>
        sender.close(code as never, undefined, false),
      );
    }
    for (const reason of ['x'.repeat(124), Buffer.alloc(124), 'ü'.repeat(62), 5, {}]) {
      scene.attempt('sender', 'reason', () => sender.close(1000, reason as never, false));
    }
    for (const type of ['ping', 'pong'] as const) {
      scene.attempt('sender', type, () => sender[type](Buffer.alloc(126), false));
      scene.attempt('sender', type, () => sender[type]('ü'.repeat(63), false));
    }
  });
});

describe('a Receiver', () => {
  function watched(scene: Scene, options?: object): Receiver {
    const receiver = new (partsOf(scene).Receiver)(options);
    const events = ['message', 'ping', 'pong', 'conclude', 'error', 'finish', 'close', 'drain'];
    for (const event of events) {
      receiver.on(event, (...args: unknown[]) => {
        scene.log('receiver', event, ...args);
        if (event !== 'error') return;
        const symbols = Object.getOwnPropertySymbols(args[0]);
        for (const symbol of symbols) {
          scene.log('receiver', String(symbol), (args[0] as Record<symbol, unknown>)[symbol]);
        }
      });
    }
    return receiver;
  }

  const FAULTS: Readonly<Record<string, [options: object, ...chunks: string[]]>> = {
    'RSV1 without the extension': [{}, 'c280'],
    'RSV1 of a continuation': [{}, '010161', 'c000'],
    RSV2: [{}, 'a200'],
    RSV3: [{}, '9200'],
    'opcode 3': [{}, '8300'],
    'opcode 11': [{}, '8b00'],
    'a continuation first': [{}, '0000'],
    'a text within a text': [{}, '0100', '8100'],
    'a fragmented ping': [{}, '0900'],
    'a compressed ping': [{}, 'c900'],
    'a long ping': [{}, '897e007e'],
    'a close of one byte': [{}, '880100'],
    'a close code of 1005': [{}, '880203ed'],
    'a close code of 0': [{}, '88020000'],
    'a reason that is no UTF-8': [{}, '880503e8e282ac', '880403e8ff41'],
    'a text that is no UTF-8': [{}, '8104ce8ef080'],
    'a text that is no UTF-8 in fragments': [{}, '0102ce8e', '8001ff'],
    'a masked frame for a client': [{}, '818000000000'],
    'an unmasked frame for a server': [{ isServer: true }, '8100'],
    'a length of 2^53': [{}, '827f0020000000000000'],
    'a length of 2^63': [{ maxPayload: 10 }, '827fffffffffffffffff'],
    'maxPayload of one frame': [{ maxPayload: 4 }, '8205'],
    'maxPayload of two frames': [{ maxPayload: 4 }, '0203010203', '8002'],
    maxFragments: [{ maxFragments: 1 }, '020101', '800101'],
  };
  for (const [name, [options, ...chunks]] of Object.entries(FAULTS)) {
    for (const allowSynchronousEvents of [true, false]) {
      sameTrace(
        `reports ${name}, allowSynchronousEvents ${allowSynchronousEvents}`,
        async (scene) => {
          const receiver = watched(scene, { ...options, allowSynchronousEvents });
          for (const chunk of chunks)
            receiver.write(Buffer.from(chunk, 'hex'), scene.callback('receiver', 'write') as never);
          await turns(6);
          scene.log('receiver', receiver.destroyed, receiver.writable);
        },
      );
    }
  }

  sameTrace('that is destroyed emits no more', async (scene) => {
    for (const allowSynchronousEvents of [true, false]) {
      const receiver = watched(scene, { allowSynchronousEvents });
      receiver.on('message', () => receiver.destroy());
      receiver.write(Buffer.from('8101618101628900', 'hex'));
      receiver.write(Buffer.from('810163', 'hex'));
      await turns(5);
    }
  });

  sameTrace('that ends within a frame', async (scene) => {
    const receiver = watched(scene);
    receiver.end(Buffer.from('810261', 'hex'));
    await turns(3);
  });

  sameTrace('emits each frame in its own turn', async (scene) => {
    const receiver = watched(scene, { allowSynchronousEvents: false });
    receiver.on('message', () => {
      queueMicrotask(() => scene.log('receiver', 'microtask'));
      process.nextTick(() => scene.log('receiver', 'tick'));
    });
    receiver.write(Buffer.from('8101618101628900', 'hex'));
    receiver.write(Buffer.from('8800', 'hex'));
    for (let i = 0; i < 6; i++) {
      await turns(1);
      scene.log('receiver', 'turn');
    }
  });

  for (const binaryType of ['nodebuffer', 'arraybuffer', 'fragments', 'blob']) {
    sameTrace(`gives ${binaryType}`, async (scene) => {
      const receiver = watched(scene, { binaryType });
      for (const chunk of ['8200', '820101', '0201018001ff', '810161', '02008000']) {
        receiver.write(Buffer.from(chunk, 'hex'));
      }
      await turns(3);
    });
  }

  sameTrace('inflates', async (scene) => {
    const deflate = deflateOf(scene);
    const extensions = { 'permessage-deflate': deflate };
    const receiver = watched(scene, { extensions, maxPayload: 30 });
    for (const chunk of ['c107f248cdc9c90700', '4104f248cdc98003c90700', 'c10100']) {
      const message = new Promise((resolve) => void receiver.once('message', resolve));
      receiver.write(Buffer.from(chunk, 'hex'));
      await message;
    }
    deflate.cleanup();
  });
});

describe('a PerMessageDeflate', () => {
  const OFFERS: readonly object[] = [
    {},
    { server_no_context_takeover: [true] },
    { client_no_context_takeover: [true] },
    { server_max_window_bits: ['10'] },
    { client_max_window_bits: ['11'] },
    { client_max_window_bits: [true] },
    { server_max_window_bits: [true] },
    { server_max_window_bits: ['7'] },
    { server_max_window_bits: ['16'] },
    { server_max_window_bits: ['a'] },
    { client_max_window_bits: ['16'] },
    { server_no_context_takeover: ['10'] },
    { client_no_context_takeover: ['10'] },
    { server_max_window_bits: ['8', '9'] },
    { foo: [true] },
  ];
  const OPTIONS: readonly object[] = [
    {},
    { serverNoContextTakeover: true },
    { serverNoContextTakeover: false },
    { clientNoContextTakeover: true },
    { clientNoContextTakeover: false },
    { serverMaxWindowBits: 12 },
    { serverMaxWindowBits: false },
    { serverMaxWindowBits: true },
    { clientMaxWindowBits: 12 },
    { clientMaxWindowBits: 10 },
    { clientMaxWindowBits: false },
    { clientMaxWindowBits: true },
  ];
  sameTrace('negotiates', async (scene) => {
    for (const isServer of [false, true]) {
      for (const options of OPTIONS) {
        const name = JSON.stringify([isServer, options]);
        scene.attempt('deflate', name, () =>
          JSON.stringify(new (partsOf(scene).PerMessageDeflate)({ ...options, isServer }).offer()),
        );
        for (const offer of OFFERS) {
          const deflate = new (partsOf(scene).PerMessageDeflate)({ ...options, isServer });
          scene.attempt('deflate', JSON.stringify(offer), () =>
            JSON.stringify(deflate.accept([structuredClone(offer) as never])),
          );
        }
        const first = new (partsOf(scene).PerMessageDeflate)({ ...options, isServer });
        scene.attempt('deflate', 'many', () =>
          JSON.stringify(
            first.accept(OFFERS.slice(0, 6).map((offer) => structuredClone(offer)) as never),
          ),
        );
      }
    }
  });

  sameTrace('returns objects like those of the parser', async (scene) => {
    const { PerMessageDeflate } = partsOf(scene);
    for (const isServer of [false, true]) {
      for (const offer of [{}, Object.create(null) as object]) {
        const accepted = new PerMessageDeflate({ isServer }).accept([offer as never]);
        scene.log('deflate', Object.getPrototypeOf(accepted) === null);
      }
    }
  });
});
