import { connect, type Socket } from 'node:net';
import { type Corpus, maskedFrame } from './corpus.ts';
import { type Checked, EchoCheck } from './echo-check.ts';
import { FrameLog } from './frame-log.ts';

const PONG = 0x8a;
const HEAD_END = '\r\n\r\n';
const HANDSHAKE_TIMEOUT = 20_000;
/** The key of RFC 6455, section 1.3: nobody is protected from anything here. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** How many messages a connection may send, and how it hears about the end. */
export interface Traffic {
  /** How many messages are under way at a time. */
  readonly depth: number;
  /** Whether more may be sent; asked for each answer. */
  readonly goesOn: () => boolean;
  readonly onDone: () => void;
  readonly onError: (error: Error) => void;
}

/** One connection of the load: a bare socket that writes frames made beforehand, and keeps what comes back. */
export class LoadConnection {
  /** Messages that were echoed, since the last {@link check}. */
  echoed = 0;
  readonly #socket: Socket;
  readonly #corpus: Corpus;
  readonly #log = new FrameLog();
  readonly #check: EchoCheck;
  #next = 0;
  #underWay = 0;
  #traffic: Traffic | undefined;
  #failure: Error | undefined;

  private constructor(socket: Socket, corpus: Corpus) {
    this.#socket = socket;
    this.#corpus = corpus;
    this.#check = new EchoCheck(corpus);
    socket.on('data', (chunk) => this.#read(chunk));
    const gone = (error?: Error): void =>
      this.#fail(error ?? new Error('the server ended the connection'));
    socket.on('error', gone);
    socket.on('close', () => gone());
  }

  /**
   * @param offer - `Sec-WebSocket-Extensions`; empty for none.
   * @returns The connection, and the extensions that the server agreed to.
   */
  static async open(
    port: number,
    offer: string,
    corpus: Corpus,
  ): Promise<{ connection: LoadConnection; agreed: string }> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.write(
      [
        'GET / HTTP/1.1',
        `Host: 127.0.0.1:${port}`,
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${KEY}`,
        ...(offer === '' ? [] : [`Sec-WebSocket-Extensions: ${offer}`]),
        HEAD_END.slice(2),
      ].join('\r\n'),
    );
    const head = await readHead(socket);
    return { connection: new LoadConnection(socket, corpus), agreed: extensionsOf(head) };
  }

  /** Bytes of frames that came in, since the last {@link check}. */
  get bytes(): number {
    return this.#log.length;
  }

  /** Sends and answers, until `traffic` says that it is enough and all is echoed. */
  run(traffic: Traffic): void {
    if (this.#failure !== undefined) {
      traffic.onError(this.#failure);
      return;
    }
    this.#traffic = traffic;
    let first = 0;
    while (first < traffic.depth && traffic.goesOn()) first++;
    this.#send(first);
    if (this.#underWay === 0) this.#done();
  }

  /** Compares what was echoed since the last time with what was sent. */
  check(): Checked {
    this.echoed = 0;
    return this.#check.check(this.#log.drain());
  }

  destroy(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    let echoed: number;
    try {
      echoed = this.#log.push(chunk);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    if (this.#log.pings.length > 0) this.#pong();
    if (echoed === 0) return;
    this.echoed += echoed;
    this.#underWay -= echoed;
    const traffic = this.#traffic;
    if (traffic === undefined || this.#underWay < 0) {
      this.#fail(new Error('more messages came back than were sent'));
      return;
    }
    let more = 0;
    while (more < echoed && traffic.goesOn()) more++;
    this.#send(more);
    if (this.#underWay === 0) this.#done();
  }

  /** The next `n` frames, which lie side by side, in one write. */
  #send(n: number): void {
    const { frames, offsets, count } = this.#corpus;
    this.#underWay += n;
    for (let left = n; left > 0; ) {
      const some = Math.min(left, count - this.#next);
      const end = this.#next + some;
      this.#socket.write(frames.subarray(offsets[this.#next], offsets[end]));
      this.#next = end === count ? 0 : end;
      left -= some;
    }
  }

  #pong(): void {
    for (const payload of this.#log.pings.splice(0)) {
      this.#socket.write(maskedFrame(PONG, payload, 0));
    }
  }

  #done(): void {
    const traffic = this.#traffic;
    this.#traffic = undefined;
    traffic?.onDone();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const traffic = this.#traffic;
    this.#traffic = undefined;
    traffic?.onError(error);
  }
}

function readHead(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let head = '';
    const settle = (error?: Error): void => {
      socket.removeListener('data', onData);
      socket.removeListener('error', settle);
      socket.removeListener('close', onClose);
      clearTimeout(timer);
      if (error === undefined) {
        resolve(head);
        return;
      }
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => settle(new Error('the handshake takes too long')),
      HANDSHAKE_TIMEOUT,
    );
    const onClose = (): void => settle(new Error('the server ended the handshake'));
    // Servers that wait for messages send nothing behind their answer.
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.endsWith(HEAD_END)) return;
      settle(head.startsWith('HTTP/1.1 101 ') ? undefined : new Error(head.split('\r\n', 1)[0]));
    };
    socket.on('data', onData);
    socket.on('error', settle);
    socket.on('close', onClose);
  });
}

/** The extensions of an answer in one spelling: parameters sorted. */
export function extensionsOf(head: string): string {
  const line = /^sec-websocket-extensions:(.*)$/im.exec(head)?.[1] ?? '';
  const [name = '', ...parameters] = line.split(';').map((part) => part.trim());
  return [name, ...parameters.toSorted()].join('; ');
}
