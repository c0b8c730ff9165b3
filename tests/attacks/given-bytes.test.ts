// Bytes passed to a write or to a reader: their owner, and who may change them.
import { duplexPair } from 'node:stream';
import { Conn, type Message } from '@ws/conn';
import { socketTransport } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { SHARED } from '../compression/support.ts';
import { FakePlatform, naiveDecode, turn } from '../kit/index.ts';
import { MemoryWire } from '../pool-poison/memory-wire.ts';
import { atLeast, claim, survives } from './harness/index.ts';
import { frame, ROLES, targetConn } from './target-conn.ts';

const LARGE = 32_768;
const SIZES = [1, 40, 125, 126, 1_000, 32_767, LARGE, 200_000];
/** The TypeScript library lacks resizable buffers. */
const Resizable = ArrayBuffer as unknown as new (
  size: number,
  options: { readonly maxByteLength: number },
) => ArrayBuffer & { resize(size: number): void };

function isAll(bytes: Uint8Array, value: number): boolean {
  return Buffer.alloc(bytes.length, value).equals(bytes);
}

describe('bytes of the application', () => {
  it('stay unchanged, whether sent or received', async () => {
    const sources = SIZES.map((size) => new Uint8Array(size + 2).fill(7));
    const attack = claim('unmasking of bytes that the application still holds', 'RFC 6455, 5.3');
    await survives(attack, { changed: 0, warmUps: 3 }, async (watch) => {
      let changed = 0;
      for (const role of ROLES) {
        for (const deflate of [undefined, SHARED]) {
          const compression = deflate === undefined ? {} : { compression: { threshold: 0 } };
          const { conn, platform, transport, feed, end } = targetConn(role, {
            deflate,
            ...compression,
          });
          for (const [i, source] of sources.entries()) {
            watch.sent(source.length);
            const sent = conn.send(source.subarray(1, -1));
            await platform.settle();
            await sent;
            changed += isAll(source, 7) ? 0 : 1;
            // A received message belongs to the application, although more data follows in the same
            // chunk.
            const reading = conn.readMessage();
            feed(frame(role, 2, source), frame(role, 2, source), frame(role, 9, 'ping'));
            const messages: Message[] = [await reading, await conn.readMessage()];
            // A client masks the echo.
            void conn.send(messages[0]!.data);
            messages[1]!.data.fill(9);
            await platform.settle();
            changed += isAll(messages[0]!.data, 7) && isAll(messages[1]!.data, 9) ? 0 : 1;
            if (i % 4 === 3) transport.takeSent();
            await turn();
          }
          expect(conn.state).toBe('open');
          await end();
        }
        // A stream whose other end still holds its chunks, and early bytes.
        const [ours, theirs] = duplexPair();
        const head = frame(role, 2, 'early');
        const held = frame(role, 2, Buffer.alloc(1_000, 'held'));
        const before = [Buffer.from(head), Buffer.from(held)];
        const conn = new Conn(socketTransport(ours, { head }), { role, heartbeat: false });
        theirs.write(held);
        expect((await conn.readMessage()).text()).toBe('early');
        expect((await conn.readMessage()).text()).toHaveLength(1_000);
        changed += head.equals(before[0]!) && held.equals(before[1]!) ? 0 : 1;
        conn.terminate();
        await conn.closed;
        theirs.destroy();
        await turn();
      }
      return { changed };
    });
  });

  it('are copied during the call below 32 KiB, and referenced until the promise settles otherwise', async () => {
    const platform = new FakePlatform();
    // A client masks what it sends: it copies all of it.
    const attack = claim('data that the caller changes after send', 'CWE-362');
    const bound = { copied: 32_767, referenced: atLeast(32_768), warmUps: 3 };
    await survives(attack, bound, async (watch) => {
      let copied = 0;
      let referenced = Infinity;
      for (const role of ROLES) {
        for (const size of SIZES) {
          const wire = new MemoryWire();
          const conn = new Conn(wire, { role, platform, heartbeat: false });
          wire.holds = true;
          const data = new Uint8Array(size).fill(7);
          watch.sent(size);
          let settled = false;
          const write = conn.send(data).then(() => {
            settled = true;
          });
          await platform.settle();
          const chunks: Buffer[] = [];
          const shares = new Set<ArrayBufferLike>();
          wire.onBytes = (chunk) => {
            shares.add(chunk.buffer);
            chunks.push(Buffer.from(chunk));
          };
          const early = settled;
          if (early || role === 'client') data.fill(9);
          wire.holds = false;
          while (conn.bufferedAmount > 0) {
            wire.leave();
            await platform.settle();
          }
          await write;
          // The caller owns the data again and may change it.
          data.fill(9);
          const peer = role === 'server' ? 'client' : 'server';
          const [message] = naiveDecode(Buffer.concat(chunks), peer).frames;
          expect([message!.payload.length, isAll(message!.payload, 7)]).toEqual([size, true]);
          if (!shares.has(data.buffer)) copied = Math.max(copied, role === 'server' ? size : 0);
          else {
            referenced = Math.min(referenced, size);
            expect([role, early]).toEqual(['server', false]);
          }
          conn.terminate();
          await conn.closed;
          await turn();
        }
      }
      return { copied, referenced };
    });
  });

  it('are copied or refused if they are shared, resizable or detached', async () => {
    const platform = new FakePlatform();
    // A server references large data. If the caller detaches it before the write settles, the
    // connection ends with a TransportError, because the frame cannot be completed.
    const attack = claim('shared, resizable and detached buffers in a write', 'CWE-416');
    const bound = { cases: atLeast(6), outcomes: 'TypeError or its end or a copy', warmUps: 5 };
    await survives(attack, bound, async (watch) => {
      let cases = 0;
      const outcomes = new Set<string>();
      for (const role of ROLES) {
        for (const size of [100, 100_000]) {
          for (const kind of ['shared', 'resizable', 'detached', 'detached meanwhile'] as const) {
            const wire = new MemoryWire();
            const conn = new Conn(wire, { role, platform, heartbeat: false });
            conn.receive(() => {}).catch(() => {});
            const chunks: Buffer[] = [];
            wire.onBytes = (chunk) => void chunks.push(Buffer.from(chunk));
            wire.holds = true;
            const buffer =
              kind === 'shared'
                ? new SharedArrayBuffer(size)
                : kind === 'resizable'
                  ? new Resizable(size, { maxByteLength: size })
                  : new ArrayBuffer(size);
            const data = new Uint8Array(buffer).fill(7);
            watch.sent(size);
            const detach = (): void =>
              void structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
            if (kind === 'detached') detach();
            const write = conn.send(data).then(
              () => 'sent',
              (error: Error) => error.constructor.name,
            );
            if (kind === 'shared') data.fill(9);
            if (kind === 'resizable') (buffer as InstanceType<typeof Resizable>).resize(10);
            if (kind === 'detached meanwhile') detach();
            await platform.settle();
            wire.holds = false;
            wire.leave();
            await platform.settle();
            wire.leave();
            conn.terminate();
            await conn.closed;
            const told = await write;
            const sent = Buffer.concat(chunks);
            const peer = role === 'server' ? 'client' : 'server';
            const frames = naiveDecode(sent, peer).frames.filter(({ opcode }) => opcode === 2);
            const copies = frames.filter(({ payload }) => isAll(payload, 7));
            expect([told, copies.length]).toEqual([told, told === 'sent' ? 1 : 0]);
            expect(frames.length).toBe(copies.length);
            // Detaching referenced data ends the connection.
            const ended = told === 'TransportError' && kind === 'detached meanwhile';
            outcomes.add(told === 'sent' ? 'a copy' : ended ? 'its end' : told);
            cases++;
            await turn();
          }
        }
      }
      return { cases, outcomes: [...outcomes].toSorted((a, b) => b.localeCompare(a)).join(' or ') };
    });
  });
});
