import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { naiveEncode } from '@ws/tests';

/** The most time in ms that a wait takes: a busy machine may stop a program for seconds. */
const PATIENCE = 30_000;

/** The head of a request to upgrade, with changed fields. */
function upgradeHead(
  port: number,
  path: string,
  fields: Readonly<Record<string, string>> = {},
  version = '1.1',
): string {
  const all = {
    Host: `127.0.0.1:${port}`,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...fields,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/${version}\r\n${lines.join('')}\r\n`;
}

/** A client that writes what it wants. */
export class RawSocket {
  readonly socket: Socket;
  head = '';
  /** What has come after the head. */
  rest: Buffer = Buffer.alloc(0);
  ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Connects, and resolves with the head of the answer. */
  static async open(
    port: number,
    path: string,
    fields?: Readonly<Record<string, string>>,
    version?: string,
    connected?: (socket: Socket) => void,
  ): Promise<RawSocket> {
    const raw = new RawSocket(connect(port, '127.0.0.1'));
    const { socket } = raw;
    connected?.(socket);
    // Each wait adds some.
    socket.setMaxListeners(0);
    socket.on('error', () => {});
    socket.on('close', () => {
      raw.ended = true;
    });
    let all = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      if (raw.head !== '') {
        raw.rest = Buffer.concat([raw.rest, chunk]);
        return;
      }
      all = Buffer.concat([all, chunk]);
      const end = all.indexOf('\r\n\r\n');
      if (end === -1) return;
      raw.head = all.toString('latin1', 0, end);
      raw.rest = all.subarray(end + 4);
    });
    socket.write(upgradeHead(port, path, fields, version));
    await raw.until(() => raw.head !== '');
    return raw;
  }

  get status(): number {
    return Number(this.head.split(' ')[1]);
  }

  /** Writes a frame, masked unless `fields` says otherwise. */
  send(
    opcode: number,
    payload: Uint8Array | string,
    fields: Parameters<typeof naiveEncode>[2] = {},
  ): void {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    this.socket.write(naiveEncode(opcode, bytes, { mask: 0x01020304, ...fields }));
  }

  /** Resolves when `holds`, or after `ms`, or at the end; returns whether it holds. */
  async until(holds: () => boolean, ms = PATIENCE): Promise<boolean> {
    const signal = AbortSignal.timeout(ms);
    while (!holds() && !this.ended && !signal.aborted) {
      await Promise.race([
        once(this.socket, 'data', { signal }),
        once(this.socket, 'close', { signal }),
      ]).catch(() => {});
    }
    return holds();
  }

  /** The code of the close frame that comes; undefined when none comes, or when `instead` holds before. */
  async closeCode(ms = PATIENCE, instead = () => false): Promise<number | undefined> {
    const find = (): number => this.rest.indexOf(0x88);
    await this.until(() => instead() || (find() !== -1 && this.rest.length >= find() + 4), ms);
    const at = find();
    return at === -1 || this.rest.length < at + 4 ? undefined : this.rest.readUInt16BE(at + 2);
  }

  destroy(): void {
    this.socket.destroy();
  }
}
