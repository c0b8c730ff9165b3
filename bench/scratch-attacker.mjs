// usage: node scratch-attacker.mjs; one address with 2,000 dials a second beside 1,000 clients that return
import { fork } from 'node:child_process';
import net from 'node:net';
import { ReconnectingConn } from '@ws/node-client';
import { serve } from '@ws/node-server';
const role = process.argv[2];
if (role === 'server') {
  const server = await serve({ port: 0, host: '127.0.0.1', trustProxy: true, heartbeat: false, handshakes: { perSecond: 300, burst: 300 },
    limits: [{ by: 'address', handshakes: { perSecond: 10, burst: 20 } }], report: () => {} }, (c) => c.receive(() => {}));
  process.send(Number(new URL(server.url).port));
  process.on('message', (m) => { if (m === 'cut') for (const c of [...server.connections]) c.terminate(); if (m === 'stats') process.send(server.stats); });
} else if (role === 'attacker') {
  const port = Number(process.argv[3]);
  let sent = 0, done = 0; const start = performance.now();
  const head = 'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n';
  setInterval(() => {
    const due = Math.floor((performance.now() - start) * 2);
    for (; sent < due && sent - done < 2000; sent++) { const s = net.connect(port, '127.0.0.1'); s.on('error', () => {}); s.on('close', () => done++); s.on('data', () => {}); s.write(head); }
  }, 5);
  process.on('message', () => { process.send({ sent, done, perSecond: done / (performance.now() - start) * 1000 }); });
} else {
  const taskset = (core) => ({ execPath: 'taskset', execArgv: ['-c', core, process.execPath] });
  const once = (c) => new Promise((r) => c.once('message', r));
  for (const attack of (process.argv[2] ?? '0,1,0,1').split(',')) {
    const server = fork(process.argv[1], ['server'], taskset('0'));
    const port = await once(server);
    let opened = 0, refused = 0, wake;
    const conns = Array.from({ length: 1000 }, (_, i) => {
      const c = new ReconnectingConn(`ws://127.0.0.1:${port}/`, { headers: { 'X-Forwarded-For': `10.1.${i >> 8}.${i & 255}` }, heartbeat: false, report: () => {},
        onOpen: () => { if (++opened % 1000 === 0) wake?.(); }, retry: () => void refused++ });
      c.receive(() => {}).catch(() => {});
      return c;
    });
    await new Promise((r) => { wake = r; });
    const attacker = attack === '1' ? fork(process.argv[1], ['attacker', `${port}`], taskset('1')) : undefined;
    await new Promise((r) => setTimeout(r, 2000));
    refused = 0;
    const start = performance.now();
    server.send('cut');
    await new Promise((r) => { wake = r; });
    const ms = performance.now() - start;
    let a; if (attacker) { attacker.send('x'); a = await once(attacker); }
    server.send('stats');
    console.log(attack, `${Math.round(ms)} ms`, { refused }, a ?? '', JSON.stringify(await once(server)));
    attacker?.kill('SIGKILL'); server.kill('SIGKILL'); for (const c of conns) c.close().catch(() => {});
  }
  process.exit();
}
