import { connect, type Socket } from 'node:net';
import { maskedFrame } from './corpus.ts';
import { EchoStream } from './echo-stream.ts';
import { FrameLog } from './frame-log.ts';
import { ResponseReader, requestOf, type UpgradeResponse } from './handshake.ts';
import type { Pieces } from './pieces.ts';
import type { RoomProtocol } from './room-messages.ts';

const PONG = 0x8a;
/** Limit for a handshake, in ms. */
const TIMEOUT_MS = 60_000;
/** All sockets of the process read into it. Its bytes are compared before the next read. */
const CHUNK = Buffer.allocUnsafeSlow(64 * 1024);

/** The server of a room, and how to reach it. */
export interface RoomTarget {
  readonly port: number;
  readonly protocol: RoomProtocol;
  /** Default: the path of the protocol. */
  readonly path?: string | undefined;
  /** Address of this end. Default: the system chooses. */
  readonly localAddress?: string | undefined;
}

/** What a member reports after its handshake. */
export interface MemberEvents {
  onMessages(member: RoomMember, count: number): void;
  onError(error: Error): void;
}

/** A member of a room: a bare socket that compares each received byte with the expected one. */
export class RoomMember {
  /** Number of messages that have arrived, before those that are being reported. */
  received = 0;
  readonly #socket: Socket;
  readonly #stream: EchoStream;
  readonly #protocol: RoomProtocol;
  readonly #events: MemberEvents;
  /** Reads the HTTP response; undefined after it. */
  #response: ResponseReader | undefined = new ResponseReader();
  #welcomes: number;
  readonly #log = new FrameLog();
  #joined: (error?: Error) => void = () => {};

  private constructor(target: RoomTarget, frames: Pieces, events: MemberEvents) {
    const { port, protocol, path = protocol.path, localAddress } = target;
    this.#protocol = protocol;
    this.#welcomes = protocol.welcomes;
    this.#stream = new EchoStream(frames, 0);
    this.#events = events;
    const host = '127.0.0.1';
    this.#socket = connect({
      host,
      port,
      ...(localAddress !== undefined && { localAddress }),
      onread: {
        buffer: CHUNK,
        callback: (length) => {
          this.#read(CHUNK.subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.setNoDelay(true);
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('the server closed the connection')));
    this.#socket.write(requestOf(`${host}:${port}`, path));
  }

  /**
   * Connects a member.
   *
   * @param frames - The messages of the room.
   */
  static open(target: RoomTarget, frames: Pieces, events: MemberEvents): Promise<RoomMember> {
    return new Promise((resolve, reject) => {
      const member = new RoomMember(target, frames, events);
      const timer = setTimeout(
        () => member.#fail(new Error(`no handshake within ${TIMEOUT_MS} ms`)),
        TIMEOUT_MS,
      );
      member.#joined = (error) => {
        clearTimeout(timer);
        member.#joined = () => {};
        if (error === undefined) resolve(member);
        else reject(error);
      };
    });
  }

  /** Requests `count` messages to the room. */
  request(count: number): void {
    this.#socket.write(this.#protocol.request(count));
  }

  /** Stops to read. */
  pause(): void {
    this.#socket.pause();
  }

  destroy(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    try {
      if (this.#response !== undefined) this.#readResponse(this.#response.push(chunk));
      else if (this.#welcomes > 0) this.#readWelcomes(chunk);
      else this.#readMessages(chunk);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #readResponse(response: UpgradeResponse | undefined): void {
    if (response === undefined) return;
    this.#response = undefined;
    const { hello } = this.#protocol;
    if (hello === undefined) this.#joined();
    else this.#socket.write(hello);
    if (response.rest.length > 0) this.#read(response.rest);
  }

  #readWelcomes(chunk: Buffer): void {
    this.#welcomes -= this.#log.push(chunk);
    if (this.#welcomes > 0) return;
    const last = [...this.#log.drain()].at(-1)!.payload.toString();
    const { welcome } = this.#protocol;
    if (!last.startsWith(welcome)) throw new Error(`expected '${welcome}', got '${last}'`);
    this.#joined();
  }

  #readMessages(chunk: Buffer): void {
    const count = this.#stream.push(chunk);
    for (const ping of this.#stream.pings.splice(0)) this.#socket.write(maskedFrame(PONG, ping, 0));
    if (count === 0) return;
    this.#events.onMessages(this, count);
    this.received += count;
  }

  #fail(error: Error): void {
    this.#joined(error);
    this.#events.onError(error);
    this.destroy();
  }
}
