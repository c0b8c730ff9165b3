// A peer resets its socket while the read-ahead of its connection is full and a message is
// incomplete. Another connection of the process receives a message of the same size.
import type net from 'node:net';
import { Conn } from '@ws/conn';
import { naiveEncode, nothingLeft, turn, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { nodePlatform } from '../src/node-platform.ts';
import { socketTransport } from '../src/socket-transport.ts';
import { tcpPair } from './sockets.ts';

const DEFLATE = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};
const MASK = { mask: 0x01020304 };

function message(letter: string, size: number): Uint8Array {
  return naiveEncode(2, Buffer.alloc(size, letter), MASK);
}

/** Runs of a letter in short: `A*3000`. */
function short(text: string): string {
  return text.replaceAll(/(.)\1+/g, (run) => `${run[0]}*${run.length}`);
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

/** A server's connection with compression agreed and all other settings default, and its peer. */
async function connected() {
  const { ours, peerTcp, dispose } = await tcpPair();
  whenOver(dispose);
  const socket = ours as net.Socket;
  const peer = peerTcp!;
  peer.on('error', () => {});
  // By 'data' events Node reads a chunk although the connection has paused the socket.
  const conn = new Conn(socketTransport(socket, { readBuffer: false }), {
    role: 'server',
    platform: nodePlatform,
    compression: true,
    deflate: DEFLATE,
  });
  let sent = 0;
  const send = (bytes: Uint8Array): void => {
    sent += bytes.length;
    peer.write(bytes);
  };
  return { conn, peer, send, allRead: () => until(() => socket.bytesRead === sent) };
}

describe('a connection that is reset in the middle of a message', () => {
  nothingLeft();

  it('writes no byte into the messages of other connections', async () => {
    const a = await connected();
    const b = await connected();
    const gates: (() => void)[] = [];
    const got: string[] = [];
    let ended = false;
    const reading = a.conn
      .receive(async (lent) => {
        got.push(short(lent.copy().text()));
        await new Promise<void>((open) => gates.push(open));
      })
      .catch(() => {
        ended = true;
      });
    /** Lets the handler finish `count` messages, or all. */
    const finish = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        await until(() => gates.length > 0 || ended);
        gates.shift()?.();
        if (ended) return;
      }
    };
    const cut = message('A', 30_000);
    a.send(message('1', 5));
    await until(() => got.length === 1);
    for (let i = 0; i < 5; i++) a.send(message('f', 10_000));
    a.send(cut.subarray(0, 20_008));
    await a.allRead();
    await turn();
    // Node reads this chunk although the connection has paused the socket.
    a.send(cut.subarray(20_008));
    await a.allRead();
    a.send(message('x', 65_500));
    for (let i = 0; i < 20; i++) await turn();
    await finish(5);
    a.peer.resetAndDestroy();
    await a.conn.closed;

    const whole: string[] = [];
    b.conn.receive((lent) => void whole.push(short(lent.text()))).catch(() => {});
    const other = message('B', 30_000);
    b.send(other.subarray(0, 25_008));
    await b.allRead();
    await turn();
    await finish(Infinity);
    await reading;
    b.send(other.subarray(25_008));
    await until(() => whole.length === 1);
    expect(whole).toEqual(['B*30000']);
    const before = ['1*5', ...Array.from({ length: 5 }, () => 'f*10000'), 'A*30000'];
    expect(got.slice(0, 7)).toEqual(before);
  });
});
