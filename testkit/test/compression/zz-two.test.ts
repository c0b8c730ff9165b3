import { deflateRawSync, constants } from 'node:zlib';
import { it } from 'vitest';
import { broadcast, Conn, historyBytesOf, PreparedMessage, connPair } from '@ws/conn';
import { nodeHost, nodeDeflate, configureCompression } from '@ws/node-io';
import { TestTransport } from '../../src/index.ts';
import { CountingSource, hostOn, pairOn, TAKEOVER, SHARED, turns, wiredOn } from './support.ts';

const RSV = { rsv: 0x40 } as never;
const log = (...a: unknown[]) => console.log(...a);
const pk = (b: Uint8Array | string, level = 6) => deflateRawSync(b, { level, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
async function settle(p: Promise<unknown>): Promise<string> {
  let s = 'pending';
  p.then(() => (s = 'resolved'), (e) => (s = `rejected ${e}`));
  for (let i = 0; i < 50 && s === 'pending'; i++) await new Promise((r) => setTimeout(r, 4));
  return s;
}
it('G2', async () => {
  for (const sizes of [[500, 3000], [500, 300000]]) for (const backend of ['handle', 'oneshot'] as const) {
    const w = wiredOn(backend, { readLimit: 1000 });
    const p = w.conn.readMessage();
    const first = deflateRawSync(Buffer.alloc(sizes[0]!, 'a'), { finishFlush: constants.Z_SYNC_FLUSH });
    w.feed(w.frame(2, first, { ...RSV as object, fin: false } as never));
    await turns(3);
    log('inflated', w.source.inflated, w.source.inflaters);
    w.conn.setReadLimit(1000000);
    w.feed(w.frame(0, pk(Buffer.alloc(sizes[1]!, 'b'))));
    log('G2', backend, sizes, await settle(p.then((m) => { log('len', m.data.length); })));
    w.conn.terminate();
  }
});
it('A control', async () => {
  const { leaseOf } = await import('../../../packages/conn/src/lease.ts');
  for (const fail of [false, true]) {
  const source = new CountingSource('handle');
  const { client, server } = pairOn('handle', { compression: { asyncDeflateThreshold: false } }, source);
  let lease: any; let res: any;
  void server.receive(async (m) => {
    lease = leaseOf(m.bytes);
    const w = await server.nextWriter(2);
    res = server.send(m);
    if (fail) source.failure = new Error('no memory');
    await w.close().catch(() => {});
  });
  void client.discardReads();
  await client.send(Buffer.alloc(300000, 'abcdef'));
  await turns(20);
  log('A fail', fail, await settle(res), 'leaked:', leaseOf(lease.bytes) === lease);
  client.terminate(); server.terminate();
  }
});
it('J oneshot amplification', async () => {
  for (const [role, limit] of [['server', 1 << 20], ['client', 16 << 20]] as const)
  for (const backend of ['handle', 'oneshot'] as const) {
    const w = wiredOn(backend, { role, readLimit: limit });
    let n = 0; void w.conn.receive(() => { n++; });
    await turns(2);
    const big = deflateRawSync(Buffer.alloc(limit - 1000, 'a'), { finishFlush: constants.Z_SYNC_FLUSH });
    const tiny = deflateRawSync(Buffer.from('b'), { finishFlush: constants.Z_SYNC_FLUSH });
    const frames = [w.frame(2, big, { ...RSV as object, fin: false } as never)];
    for (let i = 0; i < 62; i++) frames.push(w.frame(0, tiny, { fin: false } as never));
    frames.push(w.frame(0, tiny.subarray(0, -4)));
    const wire = Buffer.concat(frames).length;
    const t0 = performance.now(); let longest = 0;
    let last = performance.now();
    w.feed(...frames);
    while (n === 0 && performance.now() - t0 < 20000) { const a = performance.now(); longest = Math.max(longest, a - last); last = a; await turns(1); }
    longest = Math.max(longest, performance.now() - last);
    log('J', role, backend, 'wire', wire, 'total ms', Math.round(performance.now() - t0), 'longest turn ms', Math.round(longest), 'messages', n);
    w.conn.terminate();
  }
}, 60000);
it('L final blocks prime cost', async () => {
  for (const [name, deflate] of [['shared', SHARED], ['takeover', TAKEOVER]] as const)
  for (const backend of ['handle', 'oneshot'] as const) {
    const w = wiredOn(backend, { deflate, readLimit: 1 << 20 });
    let n = 0; void w.conn.receive(() => { n++; });
    await turns(2);
    const noise = Buffer.from(Array.from({ length: 40000 }, () => Math.random() * 256));
    w.feed(w.frame(2, pk(noise), RSV));
    while (n < 1) await turns(1);
    const fin = Buffer.concat(Array.from({ length: 8 }, () => Buffer.from([0x03, 0x00])));
    const N = 4000;
    const frames = Array.from({ length: N }, () => w.frame(2, fin, RSV));
    const t0 = performance.now(); let longest = 0; let last = t0;
    w.feed(...frames);
    longest = performance.now() - t0; 
    let turnsN = 0;
    while (n < N + 1 && w.conn.state === 'open' && performance.now() - t0 < 20000) { last = performance.now(); await turns(1); turnsN++; longest = Math.max(longest, performance.now() - last); }
    log('L', name, backend, 'wire', frames[0]!.length * N, 'n', n - 1, 'total ms', Math.round(performance.now() - t0), 'longest turn', Math.round(longest), 'turns', turnsN, w.conn.state);
    w.conn.terminate();
  }
}, 60000);
it('K output retained', async () => {
  const source = new CountingSource('handle');
  const { client, server } = pairOn('handle', { compression: { asyncDeflateThreshold: false } }, source);
  void server.discardReads();
  await client.send(Buffer.alloc(8_000_000, 'abc'));
  await turns(10);
  const { sessionOf } = await import('../../../packages/conn/src/conn.ts');
  log('K output kept by idle connection', sessionOf(client).deflating!.deflation.output.length);
  client.terminate(); server.terminate();
});
it('N user pool throws late', async () => {
  const errs: unknown[] = [];
  const h = (e: unknown) => errs.push(e);
  process.prependListener('uncaughtException', h);
  let fail = false;
  const pool = { get: () => { if (fail) throw new Error('pool empty'); return undefined; }, put: () => {} };
  const { client, server } = pairOn('handle', { client: { writeBufferPool: pool } } as never);
  void server.discardReads();
  log('sync', (fail = true, await settle(client.send('x'))));
  fail = false;
  const p = client.send('x'.repeat(100000)); fail = true;
  log('N late', await settle(p));
  fail = false;
  log('N next', await settle(client.send('y')), 'uncaught', errs.map(String));
  client.terminate(); server.terminate();
  process.removeListener('uncaughtException', h);
});
it('I bad deflate option', async () => {
  for (const deflate of [true, {}, { ...SHARED, serverMaxWindowBits: 99 }, { ...SHARED, clientMaxWindowBits: '15' }, 5, null]) {
    try { const c = new Conn(new TestTransport(), { role: 'server', host: nodeHost, deflate: deflate as never }); log('I accepted', JSON.stringify(deflate), await settle(c.send('x'.repeat(1000), {compress: true}))); c.terminate(); } catch (e) { log('I', JSON.stringify(deflate), String(e)); }
  }
});
it('generation with owned seat', async () => {
  const source = new CountingSource('handle') as any;
  let made = 0; const real = source.deflater.bind(source);
  source.deflater = (l: number, b: number) => { made++; return real(l, b); };
  let g = 0; Object.defineProperty(source, 'generation', { get: () => g });
  const { client, server } = pairOn('handle', { compression: 'takeover' } as never, source);
  const w: any = wiredOn('handle', { source, deflate: TAKEOVER, compression: { mode: 'takeover', threshold: 0 } } as never);
  await w.conn.send('x'.repeat(1000)); await w.conn.send('x'.repeat(1000));
  const m = made; g = 1;
  await w.conn.send('x'.repeat(1000)); await w.conn.send('x'.repeat(1000));
  log('gen: made before', m, 'after', made);
  w.conn.terminate(); client.terminate(); server.terminate();
});
