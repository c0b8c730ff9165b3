import { Server } from 'engine.io';
import { Socket } from 'engine.io-client';
import { finish, log, next, website } from './trace.mjs';

/** One client and its connection on a server with these options. */
async function pair(name, serverOptions, clientOptions) {
  const { server: http, port } = await website();
  const server = new Server({ pingInterval: 200, pingTimeout: 2000, ...serverOptions });
  server.attach(http);
  const client = new Socket(`ws://127.0.0.1:${port}`, clientOptions);
  for (const event of ['open', 'upgrading', 'upgrade', 'ping', 'pong', 'upgradeError', 'error']) {
    client.on(
      event,
      (value) => event !== 'ping' && event !== 'pong' && log(name, 'client', event, value?.name),
    );
  }
  client.on('close', (reason) => log(name, 'client close', reason));
  const [socket] = await next(server, 'connection');
  socket.on('close', (reason) => log(name, 'server close', reason));
  socket.on('upgrade', ({ name: transport }) => log(name, 'server upgrade', transport));
  const end = () => {
    server.close();
    http.close();
    http.closeAllConnections();
  };
  return { client, socket, end };
}

const bytes = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7) % 256));
const MESSAGES = [
  'hello',
  '',
  'ünï → 🚀',
  'x'.repeat(5000),
  bytes,
  Buffer.alloc(0),
  'y'.repeat(200_000),
];

async function echo(name, { client, socket }) {
  client.binaryType = 'arraybuffer';
  socket.on('message', (data) => socket.send(data, { compress: true }));
  let left = MESSAGES.length * 3;
  const done = new Promise((resolve) => {
    client.on('message', (data) => {
      log(name, 'client message', data);
      if (--left === 0) resolve();
    });
  });
  for (let round = 0; round < 3; round++) for (const message of MESSAGES) client.send(message);
  await done;
}

for (const [name, serverOptions, clientOptions] of [
  ['websocket', {}, { transports: ['websocket'] }],
  ['deflate', { perMessageDeflate: { threshold: 0 } }, { transports: ['websocket'] }],
  ['upgrade', {}, { transports: ['polling', 'websocket'] }],
]) {
  const both = await pair(name, serverOptions, clientOptions);
  if (name === 'upgrade') await next(both.client, 'upgrade');
  await echo(name, both);
  // Frames that were made once, as socket.io makes them.
  const list = (await import('ws')).WebSocket.Sender?.frame(Buffer.from('4shared'), {
    readOnly: true,
    mask: false,
    rsv1: false,
    opcode: 1,
    fin: true,
  });
  both.socket.sendPacket('message', 'shared', { wsPreEncodedFrame: list });
  log(name, 'client got', (await next(both.client, 'message'))[0]);
  log(name, 'transport', both.socket.transport.name, both.client.transport.name);
  // Longer than two pings.
  await new Promise((resolve) => setTimeout(resolve, 500));
  log(name, 'state', both.socket.readyState, both.client.readyState);
  const closed = Promise.all([next(both.client, 'close'), next(both.socket, 'close')]);
  if (name === 'websocket') both.socket.close();
  else both.client.close();
  await closed;
  both.end();
}

{
  const both = await pair('too long', { maxHttpBufferSize: 1000 }, { transports: ['websocket'] });
  const closed = Promise.all([next(both.client, 'close'), next(both.socket, 'close')]);
  both.client.send('x'.repeat(2000));
  await closed;
  both.end();
}
{
  const both = await pair('lost', {}, { transports: ['websocket'] });
  await next(both.client, 'open');
  const closed = next(both.socket, 'close');
  both.client.transport.ws.terminate?.();
  await closed;
  both.end();
}
{
  const { server: http, port } = await website();
  const server = new Server({ allowRequest: (_req, done) => done('no thanks', false) });
  server.attach(http);
  const client = new Socket(`ws://127.0.0.1:${port}`, { transports: ['websocket'] });
  const [error] = await next(client, 'error');
  log('refused', error.message, error.type);
  http.close();
}
finish();
