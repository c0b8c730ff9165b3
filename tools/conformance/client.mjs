// A client for ws-conform: `node client.mjs ours|ws URL`. It echoes, several cases at a time.
import process from 'node:process';
import { Dialer } from '@ws/node-client';
import { WebSocket } from 'ws';

const [, , kind, url] = process.argv;
const AT_ONCE = 8;

const dialer = new Dialer({
  compression: 'takeover',
  subprotocols: ['chat', 'superchat'],
  readLimit: 64 * 2 ** 20,
  closeTimeout: 1000,
});

const clients = {
  async ours(path, onMessage = (conn, message) => conn.writeMessage(message.type, message.data)) {
    const conn = await dialer.dial(url + path);
    await conn.receive((message) => onMessage(conn, message));
  },
  ws: (path, onMessage = (socket, { data, binary }) => socket.send(data, { binary })) =>
    new Promise((done) => {
      const socket = new WebSocket(url + path, ['chat', 'superchat']);
      socket.on('message', (data, binary) => onMessage(socket, { data, binary }));
      // A close event follows each error.
      socket.on('error', () => undefined);
      socket.on('close', done);
    }),
};
const visit = clients[kind];

let count = 0;
await visit('/getCaseCount', (_, { data }) => {
  count = Number(Buffer.from(data).toString());
});
let next = 1;
const work = async () => {
  while (next <= count) await visit(`/runCase?case=${next++}`).catch(() => undefined);
};
await Promise.all(Array.from({ length: AT_ONCE }, work));
