import { constants, deflateRawSync } from 'node:zlib';
import { broadcast, Conn, connPair, historyBytesOf, PreparedMessage } from '@ws/conn';
import { nodeHost } from '@ws/node-io';
import { it } from 'vitest';
import { CountingSource, hostOn, pairOn, SHARED, TAKEOVER, turns, wiredOn } from './support.ts';

const RSV = { rsv: 0x40 } as never;
const log = (...a: unknown[]) => console.log(...a);
const pk = (b: Uint8Array | string, level = 6) =>
  deflateRawSync(b, { level, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
async function settle(p: Promise<unknown>): Promise<string> {
  let s = 'pending';
  p.then(
    () => (s = 'resolved'),
    (e) => (s = `rejected ${e}`),
  );
  for (let i = 0; i < 50 && s === 'pending'; i++) await new Promise((r) => setTimeout(r, 4));
  return s;
}

it('A lease pin leak when engine throws in line', async () => {
  const { leaseOf } = await import('../../../packages/conn/src/lease.ts');
  const source = new CountingSource('handle');
  const { client, server } = pairOn(
    'handle',
    { compression: { asyncDeflateThreshold: false } },
    source,
  );
  let lease: any;
  let res: any;
  void server.receive(async (m) => {
    lease = leaseOf(m.bytes);
    const w = await server.nextWriter(2);
    res = server.send(m);
    source.failure = new Error('no memory');
    await w.close().catch(() => {});
  });
  void client.discardReads();
  await client.send(Buffer.alloc(300000, 'abcdef'));
  await turns(20);
  log(
    'A lease found',
    lease !== undefined,
    await settle(res),
    'still in map after:',
    lease && leaseOf(lease.bytes) === lease,
  );
  client.terminate();
  server.terminate();
});

it('B deflateLater throws', async () => {
  const source = new CountingSource('handle');
  source.deflateLater = () => {
    throw new Error('no memory');
  };
  const { client, server } = pairOn('handle', {}, source);
  void server.discardReads();
  log('B1', await settle(client.send('x'.repeat(100000))));
  log(
    'B2 next small write',
    await settle(client.send('x')),
    'close',
    await settle(client.close(1000, '', { timeout: 50 })),
  );
  client.terminate();
  server.terminate();
});

it('B3 prepared, deflateLater throws once', async () => {
  const source = new CountingSource('handle');
  const real = source.deflateLater.bind(source);
  let n = 0;
  source.deflateLater = (j, d) => {
    if (n++ === 0) throw new Error('no memory');
    return real(j, d);
  };
  const a = pairOn('handle', {}, source);
  const b = pairOn('handle', {}, source);
  void a.server.discardReads();
  void b.server.discardReads();
  const pm = new PreparedMessage(1, 'x'.repeat(100000));
  try {
    log('B3 a', await settle(a.client.writePreparedMessage(pm)));
  } catch (e) {
    log('B3 a sync throw', String(e));
  }
  log('B3 b', await settle(b.client.writePreparedMessage(pm)));
  for (const c of [a.client, a.server, b.client, b.server]) c.terminate();
});

it('C broadcast/prepared with failing engine', async () => {
  const source = new CountingSource('handle');
  const pairs = Array.from({ length: 3 }, () => pairOn('handle', {}, source));
  source.failure = new Error('no memory');
  const plain = connPair({ host: nodeHost });
  try {
    const p = pairs[0]!.client.writePreparedMessage(new PreparedMessage(1, 'x'.repeat(1000)));
    log('C1', await settle(p));
  } catch (e) {
    log('C1 SYNC THROW', String(e));
  }
  try {
    log('C2', broadcast([plain[0], pairs[0]!.client, plain[1]], 'x'.repeat(1000)));
  } catch (e) {
    log('C2 SYNC THROW', String(e), 'sent', plain[0].stats.messagesOut, plain[1].stats.messagesOut);
  }
  log('C3 send', await settle(pairs[1]!.client.send('x'.repeat(1000))));
});

for (const backend of ['handle', 'oneshot'] as const)
  it('D leased inflaters beyond 256 ' + backend, async () => {
    const source = new CountingSource(backend);
    const bomb = pk(Buffer.alloc(500_000, 'a'));
    const ws = Array.from({ length: 600 }, () => wiredOn(backend, { source }));
    for (const w of ws) w.feed(w.frame(2, bomb, RSV));
    await turns(30);
    log(
      'D',
      backend,
      'inflaters alive with nobody reading',
      source.inflaters,
      'bomb wire',
      bomb.length,
    );
    for (const w of ws) w.conn.terminate();
    await turns();
    log('D after', source.inflaters);
  });

it('E gone connection inflates stream unbounded', async () => {
  const source = new CountingSource('handle');
  const w = wiredOn('handle', { source, readLimit: false });
  const bomb = pk(Buffer.alloc(60_000_000, 'a'));
  const rp = w.conn.nextReader();
  w.feed(w.frame(2, bomb, RSV));
  const r = await rp;
  await turns(20);
  log('E wire', bomb.length, 'before break inflated', source.inflated);
  w.transport.break();
  await new Promise((r) => setTimeout(r, 1500));
  log('E after break inflated', source.inflated, await r.read(new Uint8Array(1)));
});

it('F chunks queue while tired', async () => {
  const source = new CountingSource('handle');
  const w = wiredOn('handle', { source });
  let n = 0;
  void w.conn.receive(() => {
    n++;
  });
  const one = w.frame(2, new Uint8Array([0]), RSV);
  const chunk = Buffer.concat(Array.from({ length: Math.floor(65536 / one.length) }, () => one));
  let fed = 0;
  await turns(2);
  const { sessionOf } = await import('../../../packages/conn/src/conn.ts');
  for (let t = 0; t < 30; t++) {
    for (let i = 0; i < 16; i++)
      if (!w.transport.paused) {
        w.transport.feed(chunk);
        fed += chunk.length;
      }
    await turns(1);
  }
  log(
    'F fed',
    fed,
    'messages',
    n,
    'held',
    sessionOf(w.conn).intake.held,
    'paused',
    w.transport.paused,
    'readAhead 65536',
  );
  w.conn.terminate();
});

it('G oneshot limit raised mid message', async () => {
  for (const backend of ['handle', 'oneshot'] as const) {
    const w = wiredOn(backend, { readLimit: 1000 });
    const p = w.conn.readMessage();
    const all = pk(Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * i) & 255)));
    const first = deflateRawSync(Buffer.alloc(500, 'a'), { finishFlush: constants.Z_SYNC_FLUSH });
    w.feed(w.frame(2, first, { ...(RSV as object), fin: false } as never));
    await turns(3);
    w.conn.setReadLimit(100000);
    w.feed(w.frame(0, pk(Buffer.alloc(3000, 'b'))));
    log(
      'G',
      backend,
      await settle(
        p.then((m) => {
          log('len', m.data.length);
        }),
      ),
    );
    w.conn.terminate();
  }
});

it('H historyBytes leak after gone', async () => {
  const source = new CountingSource('handle');
  const before = historyBytesOf(source);
  for (let i = 0; i < 100; i++) {
    const w = wiredOn('handle', { source, deflate: { ...TAKEOVER, clientMaxWindowBits: 12 } });
    const noise = Buffer.from(Array.from({ length: 6000 }, () => Math.random() * 256));
    const f = w.frame(2, pk(noise), RSV);
    w.feed(...Array.from({ length: 20 }, () => f));
    await turns(2);
    w.transport.break();
    await turns(2);
    await w.conn.closed;
  }
  await new Promise((r) => setTimeout(r, 100));
  (globalThis as any).gc?.();
  log('H before', before, 'after all closed', historyBytesOf(source));
});
