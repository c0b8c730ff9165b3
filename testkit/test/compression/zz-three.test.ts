import { deflateRawSync, constants } from 'node:zlib';
import { it } from 'vitest';
import { nodeHost } from '@ws/node-io';
import { CountingSource, pairOn, TAKEOVER, SHARED, turns, wiredOn } from './support.ts';
const RSV = { rsv: 0x40 } as never;
const log = (...a: unknown[]) => console.error(...a);
const pk = (b: Uint8Array | string, level = 6) => deflateRawSync(b, { level, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
it('M detached chunk', async () => {
  const which = process.env['ZZ'];
  const w = wiredOn('handle', { readLimit: 1 << 22 });
  let n = 0;
  const p = w.conn.receive((m) => {
    n++;
    if (n === 1 && which === 'sync') structuredClone(m.data, { transfer: [m.data.buffer as ArrayBuffer] });
    if (n === 1 && which === 'async') return (async () => { const d = m.data; await turns(1); structuredClone(d, { transfer: [d.buffer as ArrayBuffer] }); await turns(3); })();
    return undefined;
  });
  await turns(2);
  w.feed(w.frame(2, Buffer.alloc(5000, 'u')), w.frame(2, pk(Buffer.alloc(2_000_000, 'a')), RSV), w.frame(2, pk(Buffer.from('hello')), RSV), w.frame(2, Buffer.from('zz')));
  p.catch((e) => log('M receive', String(e)));
  await turns(60);
  log('M', which, 'n', n, w.conn.state);
  w.conn.terminate();
});
