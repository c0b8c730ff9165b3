import { PassThrough } from 'node:stream';
import { deflateRawSync } from 'node:zlib';
import { BinaryMessage } from '@ws/node-client';
import { hex, nothingLeft, rawServer, selfSigned, switchingProtocols, toHex } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { FrameScanner, type SeenFrame } from '../src/frame-scanner.ts';
import { frameLine } from '../src/trace.ts';
import { echo, server, stalled, start, wsx } from './run.ts';

const DEFLATE =
  'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n';

/** A line without its time, and without the fields of the mask, which is random. */
function withoutTime(line: string): string {
  return line.replace(/^ *\d+\.\d{6} /, '').replace(/mask [0-9a-f]{8}/, 'mask KEY');
}

function compressed(text: string): Uint8Array {
  return deflateRawSync(text, { finishFlush: 2 }).subarray(0, -4);
}

describe('wsx trace', () => {
  nothingLeft();

  it('prints a fragmented, compressed, interleaved conversation as it is on the wire', async () => {
    const body = compressed('hello hello hello');
    const [first, second] = [body.subarray(0, 4), body.subarray(4)];
    const { url } = await rawServer(false, async (peer) => {
      await peer.write(switchingProtocols(await peer.head(), DEFLATE));
      peer.startFrames();
      await peer.frame(0);
      await peer.write(
        // A compressed message in two fragments, with a ping and a pong between them.
        hex(`41 ${toHex(Uint8Array.of(first.length))} ${toHex(first)}`),
        hex`89 03 01 02 ff`,
        hex`8a 00`,
        hex(`80 ${toHex(Uint8Array.of(second.length))} ${toHex(second)}`),
        hex`82 7e 0080`,
        Buffer.alloc(128, 0xab),
        hex`01 02 c3 bc`,
        hex`80 00`,
      );
      await peer.frame(1);
      await peer.write(hex`88 05 03e8 62 79 65`);
      await peer.frame(2);
      peer.end();
    });
    const run = start(['trace', url, '--compress']);
    run.stdin.write('hi\n');
    expect(await run.code).toBe(0);
    const lines = run.out().toString().trimEnd().split('\n');
    const seen = lines.map(withoutTime);
    // The pong leaves at the end of the turn: its place among the received frames depends on TCP.
    const pong = seen.indexOf('> pong         fin rsv 000 len 3     mask KEY 01 02 ff');
    expect(pong).toBeGreaterThan(2);
    expect(seen.toSpliced(pong, 1)).toEqual([
      '> text         fin rsv 000 len 2     mask KEY "hi"',
      `< text             rsv 100 len 4     mask -        ${toHex(first)}`,
      '< ping         fin rsv 000 len 3     mask -        01 02 ff',
      '< pong         fin rsv 000 len 0     mask -',
      `< continuation fin rsv 000 len ${String(second.length).padEnd(5)} mask -        ${toHex(second)}`,
      `< binary       fin rsv 000 len 128   mask -        ${'ab '.repeat(32)}… 96 more`,
      '< text             rsv 000 len 2     mask -        "ü"',
      '< continuation fin rsv 000 len 0     mask -',
      '< close        fin rsv 000 len 5     mask -        1000 "bye"',
      '> close        fin rsv 000 len 2     mask KEY 1000 ""',
    ]);
    const times = lines.map((line) => Number(line.trim().split(' ')[0]));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('counts the pings for which a blocked stdout has no room', async () => {
    const count = 25_000;
    const { url } = await rawServer(false, async (peer) => {
      await peer.write(switchingProtocols(await peer.head()));
      const pings = Buffer.concat(Array.from({ length: 1_000 }, () => Buffer.alloc(127)));
      for (let at = 0; at < pings.length; at += 127) pings.set([0x89, 125], at);
      for (let sent = 0; sent < count; sent += 1_000) await peer.write(pings);
      await peer.write(hex`88 02 03e8`);
      peer.end();
    });
    const stdout = new PassThrough({ highWaterMark: 1 });
    const run = start(['trace', url, '--hex'], { stdout });
    await stalled(() => stdout.writableLength);
    expect(stdout.writableLength).toBeGreaterThan(16 * 1024 ** 2);
    expect(stdout.writableLength).toBeLessThan(18 * 1024 ** 2);
    const printed: Buffer[] = [];
    stdout.on('data', (chunk: Buffer) => void printed.push(chunk));
    expect(await run.code).toBe(0);
    const lines = Buffer.concat(printed).toString().trimEnd().split('\n');
    const missing = lines.flatMap((line) => / (\d+) frames are not shown/.exec(line)?.[1] ?? []);
    const shown = (name: string): number => lines.filter((line) => line.includes(name)).length;
    expect(Number(missing[0])).toBeGreaterThan(100);
    expect(shown('< ping')).toBeLessThan(count);
  });

  it('slows the peer within a message while stdout is blocked', async () => {
    const pieces = 64;
    let sent = 0;
    const url = await server(async (conn) => {
      const writer = await conn.nextWriter(BinaryMessage);
      for (; sent < pieces; sent++) await writer.write(Buffer.alloc(1024 ** 2));
      await writer.close();
      await conn.close();
    });
    const stdout = new PassThrough({ highWaterMark: 1 });
    const run = start(['trace', url], { stdout });
    await stalled(() => sent);
    expect(sent).toBeLessThan(40);
    stdout.resume();
    expect(await run.code).toBe(0);
    expect(sent).toBe(pieces);
  });

  it.each([['--http2'], ['--insecure'], ['--insecure', '--http2']])(
    'sees both directions: %s %s',
    async (...options) => {
      const isSecure = options.includes('--insecure');
      const tls = isSecure ? await selfSigned() : undefined;
      const url = await echo({ http2: isSecure ? true : 'clear', ...(tls && { tls }) });
      const { code, out } = await wsx(['trace', url, '--wait', '0.5', ...options], 'hi\n');
      expect(code).toBe(0);
      const seen = out.trimEnd().split('\n').map(withoutTime);
      // The server runs in this process, so its frames are there too.
      expect(seen).toContain('> text         fin rsv 000 len 2     mask KEY "hi"');
      expect(seen).toContain('< text         fin rsv 000 len 2     mask -        "hi"');
    },
  );

  it('prints whole payloads with --hex, and frames that break the rules', async () => {
    const { url } = await rawServer(false, async (peer) => {
      await peer.write(switchingProtocols(await peer.head()));
      await peer.write(hex`81 01 1b`, hex`82 7e 0080`, Buffer.alloc(128, 0xab), hex`f3 00`);
      await peer.untilEnd();
      peer.end();
    });
    const run = start(['trace', url, '--hex']);
    expect(await run.code).toBe(1);
    const lines = run.out().toString().trimEnd().split('\n').map(withoutTime);
    expect(lines.slice(0, 3)).toEqual([
      '< text         fin rsv 000 len 1     mask -        1b',
      `< binary       fin rsv 000 len 128   mask -        ${'ab '.repeat(128).trimEnd()}`,
      '< opcode 3     fin rsv 111 len 0     mask -',
    ]);
    expect(lines[3]).toMatch(/^> close +fin rsv 000 len \d+ +mask KEY 03 ea/);
  });
});

describe('FrameScanner', () => {
  // RFC 6455, section 5.7, then one of 256 bytes.
  const wire = Buffer.concat([
    hex`81 05 48 65 6c 6c 6f`,
    hex`81 85 37 fa 21 3d 7f 9f 4d 51 58`,
    hex`01 03 48 65 6c 80 02 6c 6f`,
    hex`8a 85 37 fa 21 3d 7f 9f 4d 51 58`,
    hex`82 7e 0100`,
    Buffer.alloc(256, 1),
  ]);
  const lines = [
    'text         fin rsv 000 len 5     mask -        "Hello"',
    'text         fin rsv 000 len 5     mask 37fa213d "Hello"',
    'text             rsv 000 len 3     mask -        "Hel"',
    'continuation fin rsv 000 len 2     mask -        6c 6f',
    'pong         fin rsv 000 len 5     mask 37fa213d 48 65 6c 6c 6f',
    'binary       fin rsv 000 len 256   mask -        01 01 01 01 01 01 01 01 … 248 more',
  ];

  it.each([1, 2, 3, 5, 14, 1_000])('finds the frames in chunks of %i bytes', (size) => {
    const seen: SeenFrame[] = [];
    const scanner = new FrameScanner(8, (frame) => seen.push(frame));
    for (let at = 0; at < wire.length; at += size) scanner.push(wire.subarray(at, at + size));
    expect(seen.map((frame) => frameLine(frame, false))).toEqual(lines);
  });

  it('stops at a length of a wrong form', () => {
    const seen: SeenFrame[] = [];
    const scanner = new FrameScanner(8, (frame) => seen.push(frame));
    expect(() => scanner.push(hex`81 7e 0001 61`)).toThrow('length');
    scanner.push(hex`81 00`);
    expect(seen).toEqual([]);
  });
});
