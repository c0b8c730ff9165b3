import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { RawPeer, rawClient } from '../kit/index.ts';
import { nothingLeft, whenOver } from '../peers/index.ts';
import type { Cut, DirectionPlan, FaultPlan } from './fault-plan.ts';
import { ChaosProxy, type Link } from './proxy.ts';

const HEAD = 'GET /3 HTTP/1.1\r\n\r\n';
const NOTHING: DirectionPlan = { stretches: [] };

interface Ends {
  readonly client: RawPeer;
  readonly server: RawPeer;
  readonly link: Link;
}

/** A client and a server with the proxy between them; the head has gone through. */
async function through(plan: Partial<FaultPlan>): Promise<Ends> {
  const listening = createServer({ allowHalfOpen: true, noDelay: true });
  await listen(listening);
  const proxy = await ChaosProxy.start(() => ({
    port: (listening.address() as AddressInfo).port,
    plan: { toServer: NOTHING, toClient: NOTHING, ...plan },
  }));
  const accepted = once(listening, 'connection') as Promise<[Socket]>;
  const client = await rawClient(Number(new URL(proxy.url).port));
  await client.write(HEAD);
  const server = new RawPeer((await accepted)[0]);
  whenOver(async () => {
    client.destroy();
    server.destroy();
    await proxy.close();
    listening.close();
    await once(listening, 'close');
  });
  return { client, server, link: proxy.linkOf(3)! };
}

/** Cuts the way to the server after the head and `bytes`. */
function cutAfter(bytes: number, cut: Cut): Promise<Ends> {
  const end = { after: HEAD.length + bytes, cut };
  return through({ toServer: { stretches: [], end } });
}

async function listen(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

/** How an end has seen its connection end. */
async function endOf(raw: RawPeer): Promise<'FIN' | 'RST'> {
  await raw.untilEnd();
  raw.end();
  await raw.closed;
  return raw.error === undefined ? 'FIN' : 'RST';
}

describe('a chaos proxy', () => {
  nothingLeft();

  it('carries both directions, and the ends of both', async () => {
    const { client, server, link } = await through({});
    await server.until(HEAD);
    await server.write('down');
    await client.until('down');
    client.end();
    await server.untilEnd();
    await server.write(' and out');
    server.end();
    expect((await client.untilEnd()).toString()).toBe('down and out');
    await link.over;
    expect([link.broken.size, link.cutBy]).toEqual([0, undefined]);
  });

  it.each<[Cut, 'FIN' | 'RST', 'FIN' | 'RST']>([
    ['fin', 'FIN', 'FIN'],
    ['reset', 'RST', 'RST'],
    ['reset-sender', 'RST', 'FIN'],
    ['reset-receiver', 'FIN', 'RST'],
  ])('cuts by %s: the sender sees a %s, the receiver a %s', async (cut, sender, receiver) => {
    const { client, server, link } = await cutAfter(5, cut);
    await server.until(HEAD);
    await client.write('0123456789');
    const seen = await Promise.all([endOf(client), endOf(server)]);
    expect(seen).toEqual([sender, receiver]);
    // A reset may overtake what it follows.
    const most = `${HEAD}01234`;
    if (receiver === 'FIN') expect(server.received.toString()).toBe(most);
    else expect(most.startsWith(server.received.toString())).toBe(true);
    await link.over;
    expect(link.cutBy?.how).toBe(cut);
  });

  it('drops both ends at once', async () => {
    const { client, server, link } = await cutAfter(1, 'drop');
    await client.write('xyz');
    await Promise.all([endOf(client), endOf(server)]);
    await link.over;
    expect([...link.broken].toSorted()).toEqual(['client', 'server']);
  });

  it('ends one direction while the other goes on', async () => {
    const { client, server, link } = await cutAfter(2, 'half-close');
    await client.write('abcdef');
    expect((await server.untilEnd()).toString()).toBe(`${HEAD}ab`);
    await server.write('still here');
    await client.until('still here');
    server.end();
    await client.untilEnd();
    client.end();
    await link.over;
    expect(link.broken.size).toBe(0);
  });

  it('sends a stretch byte by byte', async () => {
    const bytes = 20;
    const { client, server } = await through({
      toServer: { stretches: [{ after: HEAD.length, kind: 'single', bytes }] },
    });
    await server.until(HEAD);
    const sizes: number[] = [];
    server.stream.on('data', (chunk: Buffer) => sizes.push(chunk.length));
    await client.write('x'.repeat(bytes + 100));
    await server.until(({ received }) => received.length === HEAD.length + bytes + 100);
    // Two may come together where this process has been held up.
    expect(sizes.length).toBeGreaterThan(bytes / 2);
    expect(sizes.at(-1)).toBeGreaterThanOrEqual(100);
  });

  it('makes one write of many', async () => {
    const { client, server } = await through({
      toServer: { stretches: [{ after: HEAD.length, kind: 'gather', ms: 100 }] },
    });
    await server.until(HEAD);
    const sizes: number[] = [];
    server.stream.on('data', (chunk: Buffer) => sizes.push(chunk.length));
    for (let i = 0; i < 10; i++) await client.write('0123456789');
    await server.until(({ received }) => received.length === HEAD.length + 100);
    expect(sizes).toEqual([100]);
  });

  it('holds the bytes back for a while, and loses none', async () => {
    const stretches = [
      { after: HEAD.length, kind: 'delay', ms: 5 },
      { after: HEAD.length + 1_000, kind: 'delay', ms: 50 },
    ] as const;
    const { client, server } = await through({ toServer: { stretches } });
    const sent = Buffer.alloc(5_000_000, 'pattern');
    void client.write(sent);
    const all = await server.until(({ received }) => received.length === HEAD.length + sent.length);
    expect(all.subarray(HEAD.length).equals(sent)).toBe(true);
  });

  it('passes a reset of either end on', async () => {
    const { client, server, link } = await through({});
    await server.until(HEAD);
    client.reset();
    expect(await endOf(server)).toBe('RST');
    await link.over;
    expect([...link.broken].toSorted()).toEqual(['client', 'server']);
  });
});
