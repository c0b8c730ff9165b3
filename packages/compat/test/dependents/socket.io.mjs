import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { finish, log, next, website } from './trace.mjs';

const { server: http, port } = await website();
const server = new Server(http, { perMessageDeflate: { threshold: 100 } });
const url = `http://127.0.0.1:${port}`;

async function connect(name, path = '', options = {}) {
  const client = io(url + path, { transports: ['websocket'], forceNew: true, ...options });
  client.onAny((event, ...args) => log(name, event, ...args));
  client.on('disconnect', (reason) => log(name, 'disconnect', reason));
  client.on('connect_error', (error) => log(name, 'connect_error', error.message));
  await Promise.race([next(client, 'connect'), next(client, 'connect_error')]);
  return client;
}

server.use((socket, done) => done(socket.handshake.auth.bad ? new Error('bad token') : undefined));
server.of('/admin').on('connection', (socket) => socket.emit('welcome', 'admin'));
server.on('connection', (socket) => {
  socket.on('join', async (room, done) => {
    await socket.join(room);
    done(room);
  });
  socket.on('echo', (...args) => args.pop()(...args));
  socket.on('say', (room, ...args) => socket.to(room).emit('said', ...args));
  socket.on('leave', () => socket.disconnect(true));
});

const clients = [];
for (let i = 0; i < 6; i++) {
  const options = i % 2 === 0 ? {} : { transports: ['polling', 'websocket'] };
  clients.push(await connect(`client ${i}`, '', options));
}
for (const [i, client] of clients.entries()) {
  log(`client ${i}`, 'joined', await client.emitWithAck('join', i < 4 ? 'first' : 'second'));
}

// Acknowledgements with text, objects and bytes.
const bytes = Buffer.from(Array.from({ length: 700 }, (_, i) => i % 256));
for (const value of [
  'text',
  { deep: { list: [1, 2, null] } },
  bytes,
  { a: bytes, b: [bytes, 'x'] },
  'z'.repeat(50_000),
]) {
  const [answer] = [await clients[0].emitWithAck('echo', value)].flat();
  log('acks', answer instanceof Uint8Array ? Buffer.from(answer) : JSON.stringify(answer));
}

// Rooms, many messages in a turn.
for (let i = 0; i < 16; i++) server.to('first').emit('news', i, `item ${i}`);
server.to('first').to('second').except('none').emit('both', bytes);
server.emit('all', 'x'.repeat(3000));
server.to('second').compress(true).emit('small', 1);
server.volatile.emit('volatile', 1);
clients[1].emit('say', 'first', 'to the others', 7);
for (const client of clients) log('acks', await client.emitWithAck('echo', 'flushed'));
log(
  'acks',
  await server
    .to('first')
    .timeout(2000)
    .emitWithAck('anyone')
    .catch((error) => error.message),
);

const admin = await connect('admin', '/admin');
const refused = await connect('refused', '', { auth: { bad: true } });
admin.disconnect();
refused.disconnect();

const left = next(clients[0], 'disconnect');
clients[0].emit('leave');
await left;
clients[1].disconnect();
const ended = Promise.all(clients.slice(2).map((client) => next(client, 'disconnect')));
server.disconnectSockets(true);
await ended;
await server.close();
finish();
