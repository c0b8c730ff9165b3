import { type BorrowedMessage, type MessageReader, TextMessage } from '@ws/conn';
import { ABORTED, type MessageName, partsOf, type Scene, THROWN, textOf } from './scene.ts';

/** An operation that has begun. */
export interface Running {
  /** Does the rest of the operation, after both operations have begun. */
  finish?(): Promise<void> | void;
  /** Its outcome, in words. */
  outcome(): Promise<string> | string;
  /** Lets the pending handler of `receive` fail. */
  failHandler?(): void;
  /** Whether a MessageWriter is open. */
  readonly writerIsOpen?: boolean;
}

export interface Operation {
  /** Its state when the second operation begins. */
  readonly asFirst: string;
  /** What it does as the second operation. */
  readonly asSecond: string;
  /** Whether it takes a signal. */
  readonly takesSignal?: boolean;
  /** Begins it as the first operation. */
  first(scene: Scene): Promise<Running>;
  /** Runs it as the second operation. */
  second(scene: Scene, first: Running): Promise<Running> | Running;
}

export const OPERATIONS = {
  readMessage: {
    asFirst: 'A read is pending.',
    asSecond: '`readMessage()`',
    takesSignal: true,
    first: (scene) => Promise.resolve(read(scene)),
    second: (scene) => read(scene),
  },
  'nextReader with read': {
    asFirst:
      'The reader has read the first fragments of a message, and its next `read` is pending.',
    asSecond: '`nextReader()`, and `read` until the end of the message',
    takesSignal: true,
    first: (scene) => readOfHalf(scene, readStream),
    second: (scene) => readStream(scene),
  },
  'nextReader between reads': {
    asFirst:
      'The reader has read the first fragments of a message, and no `read` is pending. Its next `read` follows both operations.',
    asSecond: '`nextReader()` and one `read`; its next `read` follows both operations',
    takesSignal: true,
    first: (scene) => readOfHalf(scene, readPart),
    second: (scene) => readPart(scene),
  },
  receive: {
    asFirst: 'The handler has message 0, and its promise is pending.',
    asSecond: '`receive(handler)`',
    async first(scene) {
      scene.sendFromFar('message 0');
      await scene.move();
      let finish!: () => void;
      let failHandler!: () => void;
      const handled = new Promise<void>((resolve, reject) => {
        finish = resolve;
        failHandler = () => reject(THROWN);
      });
      return { ...receive(scene, () => handled), finish, failHandler };
    },
    second: (scene) => receive(scene, () => undefined),
  },
  close: {
    asFirst: 'Our close frame is sent, and the peer has not read it.',
    asSecond: '`close(1000)`',
    takesSignal: true,
    async first(scene) {
      const running = close(scene);
      await scene.platform.settle();
      return running;
    },
    second: (scene) => close(scene),
  },
  terminate: {
    asFirst: 'The transport is destroyed, and has not reported its end.',
    asSecond: '`terminate()`',
    first: (scene) => Promise.resolve(terminate(scene)),
    second: (scene) => terminate(scene),
  },
  send: {
    asFirst: 'The transport is blocked by an earlier message, so the promise is pending.',
    asSecond: '`send(message B)`',
    takesSignal: true,
    first(scene) {
      void scene.near.send(textOf('earlier message'));
      // Not a turn of the event loop, in which a stream of HTTP/2 would send it.
      scene.platform.runDeferred();
      return Promise.resolve(send(scene, 'message A'));
    },
    second: (scene) => send(scene, 'message B'),
  },
  'nextWriter with write': {
    asFirst: 'The writer is open and has sent the first fragments of its message.',
    asSecond: '`nextWriter()`, `write` and `close()` of the writer',
    async first(scene) {
      const [part, rest] = partsOf('stream A');
      const writer = await scene.near.nextWriter(TextMessage);
      await writer.write(part);
      await scene.platform.settle();
      let written: Promise<void> | undefined;
      return {
        writerIsOpen: true,
        finish() {
          written = writer.write(rest).then(() => writer.close());
          written.catch(() => {});
          void scene.keep(written);
        },
        outcome: async () =>
          `${await scene.fate(written!, () => 'resolves')}; ${arrival(scene, 'stream A', 'first part of stream A')}`,
      };
    },
    second: (scene) => writeStream(scene),
  },
  ping: {
    asFirst: 'The ping is sent, and the peer has not read it.',
    asSecond: '`ping()`',
    takesSignal: true,
    async first(scene) {
      const running = ping(scene);
      await scene.platform.settle();
      return running;
    },
    second: (scene) => ping(scene),
  },
  setReadDeadline: {
    asFirst: 'The deadline is set. It expires after the second operation has begun.',
    asSecond: '`setReadDeadline` with a time in the past',
    async first(scene) {
      scene.near.setReadDeadline(Date.now() + 50);
      return { finish: () => scene.platform.advance(200), outcome: () => laterReads(scene) };
    },
    second(scene) {
      scene.near.setReadDeadline(Date.now() - 1);
      return { outcome: () => laterReads(scene) };
    },
  },
  'abort of a signal': {
    asFirst: 'The signal of a pending `readMessage` has aborted.',
    asSecond:
      'the signal of the first operation aborts; if it takes none, that of a `ping`, or of a `send` that waits for the open writer',
    async first(scene) {
      const control = new AbortController();
      const read = scene.keep(scene.near.readMessage({ signal: control.signal }));
      control.abort(ABORTED);
      return { outcome: () => scene.fate(read, (message) => `gets ${scene.took(message.text())}`) };
    },
    second: (scene, first) => abort(scene, first),
  },
  'end by the peer': {
    asFirst: 'The FIN has arrived in this turn.',
    asSecond: 'a FIN arrives without a close frame',
    first: async (scene) => endByPeer(scene),
    second: (scene) => endByPeer(scene),
  },
  'reset by the peer': {
    asFirst: 'The transport has reported its error.',
    asSecond: 'the transport reports an error',
    first: (scene) => reset(scene),
    second: (scene) => reset(scene),
  },
  'handler that throws': {
    asFirst: 'The handler of `receive` has thrown at message 0.',
    asSecond: 'a handler throws: that of the pending `receive`, else a ping handler',
    async first(scene) {
      scene.sendFromFar('message 0');
      await scene.move();
      return receive(scene, () => {
        throw THROWN;
      });
    },
    second: (scene, first) => throwInHandler(scene, first),
  },
} satisfies Record<string, Operation>;
export type OperationName = keyof typeof OPERATIONS;

function read(scene: Scene): Running {
  const message = scene.keep(scene.near.readMessage(scene.wait));
  return { outcome: () => scene.fate(message, (read) => `gets ${scene.took(read.text())}`) };
}

function readStream(scene: Scene): Running {
  const into = new StreamText();
  const whole = scene.keep(
    scene.near.nextReader(scene.wait).then((reader) => into.readAll(reader)),
  );
  whole.catch(() => {});
  return { outcome: () => into.outcome(scene, whole) };
}

/** `read` begins when half of a message has come. Its other half follows both operations. */
async function readOfHalf(scene: Scene, read: (scene: Scene) => Running): Promise<Running> {
  const writer = await scene.streamFromFar('the stream');
  await scene.move();
  const running = read(scene);
  await scene.move();
  return {
    ...running,
    async finish() {
      void writer.write(partsOf('the stream')[1]);
      await writer.close().catch(() => {});
    },
  };
}

/** Reads the first bytes of a message, and the rest when the test asks for the outcome. */
function readPart(scene: Scene): Running {
  const into = new StreamText();
  const part = scene.keep(
    scene.near.nextReader(scene.wait).then(async (reader) => {
      await into.read(reader);
      return reader;
    }),
  );
  part.catch(() => {});
  return {
    outcome() {
      const whole = scene.keep(part.then((reader) => into.readAll(reader)));
      whole.catch(() => {});
      return into.outcome(scene, whole);
    },
  };
}

/** The text that a reader has read so far. */
class StreamText {
  #text = '';

  async read(reader: MessageReader): Promise<number> {
    const into = new Uint8Array(64);
    const n = await reader.read(into);
    this.#text += Buffer.from(into.subarray(0, n)).toString();
    return n;
  }

  async readAll(reader: MessageReader): Promise<string> {
    while ((await this.read(reader)) > 0);
    return this.#text;
  }

  async outcome(scene: Scene, whole: Promise<string>): Promise<string> {
    const fate = await scene.fate(whole, (all) => `gets ${scene.took(all)}`);
    if (this.#text === '' || fate.startsWith('gets')) return fate;
    return `${fate}, after ${this.#text.length} bytes`;
  }
}

function receive(scene: Scene, handle: () => Promise<void> | undefined): Running {
  const got: string[] = [];
  const call = scene.keep(
    scene.near.receive((message: BorrowedMessage) => {
      got.push(scene.took(message.text()));
      return handle();
    }),
  );
  return {
    outcome: async () => {
      const fate = await scene.fate(call, () => 'resolves');
      return got.length === 0 ? fate : `gets ${got.join(', ')}; ${fate}`;
    },
  };
}

function close(scene: Scene): Running {
  const closed = scene.keep(scene.near.close(1000, '', scene.wait));
  return { outcome: () => scene.fate(closed, () => 'resolves') };
}

function terminate(scene: Scene): Running {
  scene.near.terminate();
  return { outcome: () => 'returns' };
}

function send(scene: Scene, name: MessageName): Running {
  const sent = scene.keep(scene.near.send(textOf(name), scene.wait));
  return {
    outcome: async () => `${await scene.fate(sent, () => 'resolves')}; ${arrival(scene, name)}`,
  };
}

function writeStream(scene: Scene): Running {
  const written = scene.keep(
    (async () => {
      const writer = await scene.near.nextWriter(TextMessage);
      await writer.write(textOf('stream B'));
      await writer.close();
    })(),
  );
  written.catch(() => {});
  return {
    outcome: async () =>
      `${await scene.fate(written, () => 'resolves')}; ${arrival(scene, 'stream B')}`,
  };
}

function ping(scene: Scene): Running {
  const pong = scene.keep(scene.near.ping('', scene.wait));
  return { outcome: () => scene.fate(pong, () => 'resolves') };
}

async function laterReads(scene: Scene): Promise<string> {
  const later = scene.keep(scene.near.readMessage());
  return `a later read ${await scene.fate(later, (read) => `gets ${scene.took(read.text())}`)}`;
}

function abort(scene: Scene, first: Running): Running {
  if (scene.abort !== undefined) {
    scene.abort.abort(ABORTED);
    return { outcome: () => 'aborts' };
  }
  const control = new AbortController();
  const { signal } = control;
  const aborted: Promise<unknown> =
    first.writerIsOpen === true
      ? scene.near.send(textOf('message B'), { signal })
      : scene.near.ping('', { signal });
  void scene.keep(aborted);
  control.abort(ABORTED);
  return { outcome: () => scene.fate(aborted, () => 'resolves') };
}

/** The FIN comes from below the Conn of the peer, which knows nothing of it. */
function endByPeer(scene: Scene): Running | Promise<Running> {
  const running: Running = { outcome: () => 'arrives' };
  const ended = scene.wire.endFar();
  return ended === undefined ? running : ended.then(() => running);
}

async function reset(scene: Scene): Promise<Running> {
  await scene.wire.break();
  await scene.platform.settle();
  return { outcome: () => 'arrives' };
}

async function throwInHandler(scene: Scene, first: Running): Promise<Running> {
  if (first.failHandler !== undefined) {
    first.failHandler();
    return { outcome: () => 'throws' };
  }
  let called = false;
  scene.near.setPingHandler(() => {
    called = true;
    throw THROWN;
  });
  void scene.far.ping();
  await scene.platform.settle();
  await scene.wire.step('near');
  await scene.platform.settle();
  return { outcome: () => (called ? 'throws' : 'is not called') };
}

/** Which of the messages the peer has received. */
function arrival(scene: Scene, ...names: MessageName[]): string {
  const arrived = names.filter((name) => scene.farGot.includes(name));
  if (arrived.length === 0) return 'does not arrive';
  return arrived[0] === names[0] ? 'arrives whole' : `arrives as the ${arrived[0]}`;
}
