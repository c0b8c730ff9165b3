import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { request as secureRequest } from 'node:https';
import { serveFetch } from '@ws/fetch/node';
import { rawClient, selfSigned, upgradeRequest, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';

const KIB = 1024;
const SIZES = [
  1,
  16 * KIB - 1,
  16 * KIB,
  16 * KIB + 1,
  17 * KIB,
  64 * KIB,
  64 * KIB + 1,
  2_000_000,
];
const CHUNKS = [1, 2, 7, 100];

/** A body of so many bytes in so many chunks. Byte i is i modulo 251. */
function bodyOf(size: number, chunks: number): ReadableStream<Uint8Array> {
  const bytes = Uint8Array.from({ length: size }, (_, i) => i % 251);
  const step = Math.ceil(size / chunks);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes.subarray(at, at + step));
      at += step;
      if (at >= size) controller.close();
    },
  });
}

async function served(secure: boolean, fetch: () => Response, limits = {}) {
  const tls = secure ? await selfSigned() : undefined;
  const server = await serveFetch(fetch, { host: '127.0.0.1', port: 0, tls, ...limits });
  whenOver(() => server.close({ timeout: 1 }));
  return { server, port: Number(new URL(server.url).port) };
}

/** The status and the body of the answer to a request to upgrade. */
async function answerOf(port: number, secure: boolean): Promise<[number, Buffer]> {
  const options = {
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    },
  };
  const asked = secure ? secureRequest(options) : request(options);
  asked.end();
  const [res] = (await once(asked, 'response')) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of res) parts.push(part as Buffer);
  return [res.statusCode!, Buffer.concat(parts)];
}

describe.each([
  ['ws', false],
  ['wss', true],
])('EA2 a streamed Response to a request to upgrade, over %s', (_, secure) => {
  describe.each(SIZES)('of %i bytes', (size) => {
    it.each(CHUNKS)('in %i chunks is sent whole', async (chunks) => {
      const { port } = await served(
        secure,
        () => new Response(bodyOf(size, chunks), { status: 403 }),
      );
      const [status, body] = await answerOf(port, secure);
      expect([status, body.length]).toEqual([403, size]);
      expect(body.every((byte, i) => byte === i % 251)).toBe(true);
    });
  });
});

describe('EA2 the socket of a streamed Response to a request to upgrade', () => {
  it('counts for the limits until the body has ended, and its close cancels the body', async () => {
    let cancelled = 0;
    let end!: () => void;
    const fetch = () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new Uint8Array(10));
            end = () => controller.close();
          },
          cancel: () => void cancelled++,
        }),
        { status: 403 },
      );
    const { port } = await served(false, fetch, { limits: [{ by: 'address', connections: 2 }] });
    const open = async () => {
      const client = await rawClient(port);
      await client.write(upgradeRequest());
      return { client, head: await client.head() };
    };
    const first = await open();
    const second = await open();
    expect([first.head, second.head].map((head) => head.slice(9, 12))).toEqual(['403', '403']);
    expect((await open()).head).toContain(' 429 ');
    first.client.destroy();
    await expect.poll(() => cancelled).toBe(1);
    await expect.poll(async () => (await open()).head.slice(9, 12)).toBe('403');
    end();
  });
});
