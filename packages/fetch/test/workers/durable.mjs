// Clients and ends that only Workers have. `../workers.slow.test.ts` runs it with several compatibility dates.
import { DurableObject } from 'cloudflare:workers';
import { admit, hibernating, upgrade } from '@ws/fetch/workers';
import { address } from './worker.mjs';

const ends = [];

export class Room extends DurableObject {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/ends') return Response.json(ends);
    if (pathname === '/address') return address(request);
    const upgraded = upgrade(request, {}, async (conn) => {
      if (pathname === '/dropped') return ends.push(await conn.closed);
      if (pathname === '/writes') {
        await conn.readMessage();
        for (let i = 0; i < 200; i++) await conn.send(new Uint8Array(64 * 1024));
        return conn.close(4000, 'all sent');
      }
      await conn.receive((message) => conn.send(message)).catch(() => {});
      const { code, reason, wasClean } = await conn.closed;
      ends.push({ code, reason, wasClean });
    });
    return pathname === '/dropped'
      ? upgraded.then(() => new Response('no', { status: 403 }))
      : upgraded;
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const reports = [];
let watcher;

export class Sleeper extends hibernating({
  async authenticate(request) {
    const name = new URL(request.url).searchParams.get('name') ?? '';
    if (name === 'slow') {
      watcher.send('slow logs in');
      await sleep(300);
    }
    return admit({ name, at: 1 });
  },
  maxBufferedAmount: 2 ** 20,
  maxQueuedBytes: 64 * 1024,
  readLimit: 4 * 2 ** 20,
  report: ({ message }) => reports.push(message),
  open(conn) {
    if (conn.data.name === 'asks') {
      conn.send('who are you?');
      return new Promise(() => {});
    }
    if (conn.data.name === 'watcher') watcher = conn;
    conn.send('open');
  },
  async message(conn, message, room) {
    const all = room.connections();
    if (message === 'throw') throw new Error('boom');
    if (message === 'kick me') return conn.close(4001, 'kicked');
    if (message === 'kick others') {
      for (const each of all) if (each.data.name === 'other') each.close(4002);
      return;
    }
    if (message === 'wait') return sleep(300);
    if (message === 'reports') return conn.send(reports.join());
    if (message === 'states') {
      return conn.send(all.map((each) => `${each.data.name} ${each.state}`).join());
    }
    if (message === 'flood') {
      // In turns of their own: a client that reads gets all of it.
      for (let i = 0; i < 64; i++) {
        for (const each of all) each.send(new Uint8Array(2 ** 18));
        await sleep(5);
      }
      return conn.send(all.map((each) => `${each.data.name} ${each.send('')}`).join());
    }
    for (const each of all) {
      if (each.data.name === 'watcher') each.send(`${conn.data.name} said ${String(message)}`);
    }
  },
  close(conn, { code, wasClean }, room) {
    for (const each of room.connections()) {
      if (each.data.name === 'watcher') each.send(`${conn.data.name} left ${code} ${wasClean}`);
    }
  },
}) {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/own-socket') {
      const [webSocket, socket] = Object.values(new WebSocketPair());
      this.ctx.acceptWebSocket(socket);
      return new Response(null, { status: 101, webSocket });
    }
    if (pathname !== '/own-client') return super.fetch(request);
    // A client in the object itself: its socket passes through no Response that the runtime sends.
    const headers = { Upgrade: 'websocket' };
    const { webSocket } = await super.fetch(new Request('http://room.example/', { headers }));
    const got = [];
    webSocket.addEventListener('message', ({ data }) => got.push(data));
    webSocket.accept();
    await sleep(1_200);
    webSocket.send('states');
    await sleep(100);
    webSocket.close(1000);
    return Response.json(got);
  }
}

/** Requests of a Worker, as Cloudflare documents them, with more headers or fewer. */
const CALLS = {
  alone: { Upgrade: 'websocket' },
  host: { Upgrade: 'websocket', Host: 'room.example' },
  'own origin': { Upgrade: 'websocket', Origin: 'http://room.example' },
  'foreign origin': { Upgrade: 'websocket', Origin: 'http://evil.example' },
  'without upgrade': {},
  'a part of the wire': { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
};

async function call(stub, name) {
  const response = await stub.fetch('http://room.example/', { headers: CALLS[name] });
  const socket = response.webSocket;
  if (!socket) return new Response(`refused ${response.status}`);
  socket.accept();
  const got = new Promise((resolve) => {
    socket.addEventListener('message', ({ data }) => resolve(data));
  });
  socket.send('echo');
  const answer = await got;
  socket.close(1000);
  return new Response(answer);
}

async function callAddress(stub) {
  const headers = { Upgrade: 'websocket' };
  const { webSocket } = await stub.fetch('http://room.example/address', { headers });
  const got = new Promise((resolve) => {
    webSocket.addEventListener('message', ({ data }) => resolve(data));
  });
  webSocket.accept();
  return new Response(await got);
}

export default {
  fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const stub = (objects) => objects.get(objects.idFromName('all'));
    if (pathname === '/call') return call(stub(env.ROOM), searchParams.get('name'));
    if (pathname === '/call-sleeper') return call(stub(env.SLEEPER), searchParams.get('name'));
    if (pathname === '/call-address') return callAddress(stub(env.ROOM));
    const isSleeper = ['/sleeper', '/own-client', '/own-socket'].includes(pathname);
    return stub(isSleeper ? env.SLEEPER : env.ROOM).fetch(request);
  },
};
