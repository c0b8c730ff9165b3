import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { nothingLeft, selfSigned, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { front } from './support.ts';

describe.each([
  [true, false],
  [false, true],
  [true, true],
])('createProxy with TLS to the client %s, to the target %s', (front_, back) => {
  nothingLeft();

  it.each(['frames', 'bytes', 'messages'] as const)('passes messages, mode %s', async (mode) => {
    const { key, cert } = await selfSigned();
    const seen: unknown[] = [];
    const server = await serve(
      { port: 0, host: '127.0.0.1', readLimit: false, ...(back && { tls: { key, cert } }) },
      (conn, req) => {
        seen.push(req.headers['x-forwarded-proto']);
        return conn.receive((message) => conn.send(message));
      },
    );
    whenOver(() => server.close({ timeout: 1 }));
    const { url } = await front([{ url: server.url, tls: { ca: cert } }], { mode }, front_);
    const conn = await dial(url, { tls: { ca: cert } });
    const bytes = new Uint8Array(200_000).map((_, i) => i % 251);
    const sent = conn.send(bytes);
    expect(Buffer.compare((await conn.readMessage()).data, bytes)).toBe(0);
    await sent;
    expect(await conn.close(4000, 'bye')).toMatchObject({ code: 4000, wasClean: true });
    expect(seen).toEqual([front_ ? 'https' : 'http']);
  });

  it('sends 1014 to the client when the target dies', async () => {
    const { key, cert } = await selfSigned();
    const server = await serve(
      { port: 0, host: '127.0.0.1', ...(back && { tls: { key, cert } }) },
      (conn) => conn.terminate(),
    );
    whenOver(() => server.close({ timeout: 1 }));
    const { url } = await front([{ url: server.url, tls: { ca: cert } }], {}, front_);
    const conn = await dial(url, { tls: { ca: cert } });
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1014 });
  });
});
