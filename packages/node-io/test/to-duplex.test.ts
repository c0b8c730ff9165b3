import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import {
  BinaryMessage,
  CloseError,
  CloseSentError,
  type Conn,
  connPair,
  joinMessages,
  ReadPendingError,
} from '@ws/conn';
import { nodePlatform, toDuplex } from '@ws/node-io';
import { describe, expect, it } from 'vitest';

const pair = (settings: object = {}): [Conn, Conn] =>
  connPair({ platform: nodePlatform, ...settings });

describe('toDuplex', () => {
  it.each([false, true])('echoes bytes through pipeline, compressed: %s', async (compression) => {
    const [client, server] = pair({ compression, readLimit: false });
    const echo = toDuplex(server);
    const echoing = pipeline(echo, echo);
    const duplex = toDuplex(client);
    const bytes = Buffer.alloc(3_000_000);
    for (let i = 0; i < bytes.length; i++) bytes[i] = i * 7;
    const got: Buffer[] = [];
    let length = 0;
    const reading = new Promise<void>((resolve) => {
      duplex.on('data', (chunk: Buffer) => {
        got.push(Buffer.from(chunk));
        length += chunk.length;
        if (length === bytes.length) resolve();
      });
    });
    for (let at = 0; at < bytes.length; at += 100_000) {
      if (!duplex.write(bytes.subarray(at, at + 100_000))) await once(duplex, 'drain');
    }
    await reading;
    expect(Buffer.concat(got).equals(bytes)).toBe(true);
    duplex.end();
    await finished(duplex);
    await echoing.catch(() => {});
    expect(await server.closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it('waits for its reader: the peer stops writing', async () => {
    const [client, server] = pair({ readAhead: 1_000 });
    const duplex = toDuplex(server, { highWaterMark: 1_000 });
    let sent = 0;
    const sending = (async () => {
      for (; sent < 1_000; sent++) await client.send(new Uint8Array(10_000));
    })().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent).toBeLessThan(100);
    let length = 0;
    for await (const chunk of duplex) {
      length += (chunk as Buffer).length;
      if (length >= 500_000) break;
    }
    // Leaving the loop destroys the stream, and so the connection.
    expect((await client.closed).code).toBe(1006);
    await sending;
  });

  it.each([1000, 1001, 4000])(
    'fails when the peer closes with %i within a message',
    async (code) => {
      for (const compression of [false, true]) {
        const [client, server] = pair({ compression });
        let length = 0;
        const sink = new Writable({
          write(chunk: Buffer, _encoding, written) {
            length += chunk.length;
            written();
          },
        });
        const piping = pipeline(toDuplex(server), sink);
        const writer = await client.nextWriter(BinaryMessage);
        await writer.write(new Uint8Array(100_000));
        void client.close(code);
        await expect(piping).rejects.toThrow('the connection was closed within a message');
        expect(length).toBeLessThanOrEqual(100_000);
      }
    },
  );

  it.each<[string, (peer: Conn) => unknown, string, number]>([
    ['never answers the close', () => {}, 'within 50 ms', 50],
    ['resets', (peer) => peer.terminate(), '1006', 60_000],
    ['closes with an error', (peer) => peer.close(1011, 'disk full'), 'disk full', 60_000],
  ])('fails at its end when the peer %s', async (_, act, says, closeTimeout) => {
    const [client, server] = pair({ client: { closeTimeout } });
    const uploading = pipeline(Readable.from([Buffer.alloc(10)]), toDuplex(client));
    uploading.catch(() => {});
    expect(await server.nextReader()).toBeDefined();
    act(server);
    await expect(uploading).rejects.toThrow(says);
    server.terminate();
  });

  it('ends with the normal close of the peer, and fails with another one', async () => {
    for (const code of [1000, 1001, 4000]) {
      const [client, server] = pair();
      const duplex = toDuplex(server);
      const text = Readable.prototype.toArray.call(duplex);
      await client.send('text');
      void client.discardReads().catch(() => {});
      void client.close(code);
      if (code === 4000) await expect(text).rejects.toBeInstanceOf(CloseError);
      else expect(Buffer.concat(await text).toString()).toBe('text');
      expect((await server.closed).code).toBe(code);
    }
  });

  it('gives what is written the order and the bounds of messages', async () => {
    const [client, server] = pair();
    void pipeline(Readable.from([Buffer.from('one'), Buffer.from('two')]), toDuplex(server));
    const got: string[] = [];
    for await (const message of client) got.push(`${message.isText} ${message.text()}`);
    expect(got).toEqual(['false one', 'false two']);
  });

  it('terminates the connection when it is destroyed, also by its signal', async () => {
    const abort = new AbortController();
    const ways: ((duplex: ReturnType<typeof toDuplex>) => void)[] = [
      (duplex) => void duplex.destroy(new Error('mine')),
      () => abort.abort(),
    ];
    for (const end of ways) {
      const [client, server] = pair();
      const duplex = toDuplex(server, { signal: abort.signal });
      const failed = once(duplex, 'error');
      end(duplex);
      expect((await failed)[0]).toBeInstanceOf(Error);
      expect((await client.closed).code).toBe(1006);
    }
  });

  it('fails a write after the end of the connection', async () => {
    const [client, server] = pair();
    const duplex = toDuplex(server);
    const failed = once(duplex, 'error');
    void server.close();
    duplex.write('late');
    expect((await failed)[0]).toBeInstanceOf(CloseSentError);
    client.terminate();
  });

  it('is a target and a source of web streams too', async () => {
    const [client, server] = pair();
    const { readable, writable } = server.toStreams();
    void readable.pipeTo(writable).catch(() => {});
    const duplex = toDuplex(client);
    duplex.write('x');
    expect(String((await once(duplex, 'data'))[0])).toBe('x');
    expect(Writable.toWeb(duplex)).toBeInstanceOf(WritableStream);
    duplex.destroy();
  });

  describe.each(['an echo', 'an answer to the end', 'a peer that closes'])('with %s', (peer) => {
    it.each([0, 10, 60, 400])(
      'is read whole, or fails, when its first piece takes %i ms',
      async (ms) => {
        const [client, server] = pair({ closeTimeout: 100, readAhead: 5_000, report: () => {} });
        const chunks = Array.from({ length: 20 }, () => Buffer.alloc(2_000, 'x'));
        const all = chunks.length * 2_000;
        if (peer === 'an echo')
          void server.receive((message) => server.send(message)).catch(() => {});
        else {
          const first = server.readMessage();
          void (async () => {
            await first;
            for (const chunk of chunks) await server.send(chunk);
            if (peer === 'a peer that closes') await server.close();
            else await server.discardReads();
          })().catch(() => {});
        }
        let got = 0;
        let pieces = 0;
        const sink = new Writable({
          highWaterMark: 1,
          write(bytes: Buffer, _encoding, done) {
            got += bytes.length;
            setTimeout(done, pieces++ === 0 ? ms : 0);
          },
        });
        const sent = peer === 'an echo' ? chunks : [Buffer.from('all, please')];
        const error = await pipeline(Readable.from(sent), toDuplex(client), sink).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (error === undefined) expect(got).toBe(all);
        else expect(error).toBeInstanceOf(Error);
        client.terminate();
      },
    );
  });

  it('waits for its first read after `end()`, as a loop that has begun', async () => {
    const [client, server] = pair({ readAhead: 5_000 });
    void (async () => {
      for (let i = 0; i < 20; i++) await server.send(Buffer.alloc(2_000));
      await server.discardReads();
    })();
    const duplex = toDuplex(client);
    await new Promise((resolve) => setTimeout(resolve, 20));
    duplex.end();
    await new Promise((resolve) => setTimeout(resolve, 20));
    let got = 0;
    for await (const bytes of duplex) got += (bytes as Buffer).length;
    expect(got).toBe(40_000);
    expect(client.stats.messagesDropped).toBe(0);
  });

  it('rejects unknown options', () => {
    const [client] = pair();
    expect(() => toDuplex(client, { readableObjectMode: true } as never)).toThrow(
      'toDuplex: unknown option readableObjectMode',
    );
    client.terminate();
  });
});

describe('N16 a read beside toDuplex', () => {
  it.each<[string, (conn: Conn) => Promise<unknown>]>([
    ['readMessage', (conn) => conn.readMessage()],
    ['readMessage', (conn) => conn.readMessage({ timeout: 5_000 })],
    ['readJSON', (conn) => conn.readJSON()],
    ['nextReader', (conn) => conn.nextReader()],
    ['receive', (conn) => conn.receive(() => {})],
    ['discardReads', (conn) => conn.discardReads()],
    ['for await', (conn) => conn[Symbol.asyncIterator]().next()],
    ['nextReader', (conn) => joinMessages(conn).next()],
  ])('rejects, and the stream gets the bytes: %s', async (name, read) => {
    const [client, server] = pair();
    const duplex = toDuplex(server);
    const words = `${name} after toDuplex, whose stream reads this connection; read the stream`;
    await expect(read(server)).rejects.toThrow(words);
    await client.send('bytes');
    await expect(read(server)).rejects.toThrow(ReadPendingError);
    const [bytes] = await once(duplex, 'data');
    expect(String(bytes)).toBe('bytes');
    await expect(read(server)).rejects.toThrow(words);
    duplex.destroy();
  });

  it('throws for a second stream', () => {
    const [, server] = pair();
    const duplex = toDuplex(server);
    expect(() => toDuplex(server)).toThrow('toDuplex after toDuplex');
    duplex.destroy();
  });
});
