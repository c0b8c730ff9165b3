import websocket from '@fastify/websocket';
import fastify from 'fastify';
import { WebSocket } from 'ws';
import { finish, log, next } from './trace.mjs';

const app = fastify();
await app.register(websocket, { options: { maxPayload: 1_000 } });
app.addHook('preValidation', async (request, reply) => {
  if (request.query.token === 'bad') await reply.code(401).send();
});
app.get('/echo', { websocket: true }, (socket, request) => {
  const party = `server of ${request.query.name}`;
  log(party, 'open');
  socket.on('message', (data, isBinary) => {
    log(party, 'message', isBinary, data);
    socket.send(data, { binary: isBinary });
  });
  // An injected stream tells its server nothing of its end.
  if (request.query.injected) return;
  socket.on('close', (code, reason) => log(party, 'close', code, String(reason)));
});
app.get('/hello', { websocket: true }, (socket) => {
  socket.send('hello');
  socket.close(4001, 'bye');
});
app.get('/throws', { websocket: true }, () => {
  throw new Error('mine');
});
await app.listen({ port: 0, host: '127.0.0.1' });
const { port } = app.server.address();

function watch(name, ws) {
  ws.on('error', (error) => log(name, error.message));
  ws.on('message', (data, isBinary) => log(name, 'message', isBinary, data));
  ws.on('close', (code, reason) => log(name, 'close', code, String(reason)));
  return ws;
}

async function echo(name, ws, end) {
  for (const data of ['text', '', Buffer.alloc(300, 7)]) {
    ws.send(data);
    await next(ws, 'message');
  }
  end(ws);
  if (ws.readyState !== WebSocket.CLOSED) await next(ws, 'close');
  log(name, ws.readyState);
}

const ends = {
  close: (ws) => ws.close(1000, 'done'),
  'close without code': (ws) => ws.close(),
  terminate: (ws) => ws.terminate(),
  'too large': (ws) => ws.send(Buffer.alloc(2_000)),
};
for (const [name, end] of Object.entries(ends)) {
  const query = `name=${encodeURIComponent(name)}`;
  const ws = watch(name, new WebSocket(`ws://127.0.0.1:${port}/echo?${query}`));
  await next(ws, 'open');
  await echo(name, ws, end);
  const injected = `injected: ${name}`;
  const inMemory = await app.injectWS(`/echo?${query}&injected=1`);
  await echo(injected, watch(injected, inMemory), end);
}
for (const path of ['/hello', '/throws', '/nowhere', '/echo?token=bad']) {
  const ws = watch(path, new WebSocket(`ws://127.0.0.1:${port}${path}`));
  await next(ws, 'close');
  try {
    const injected = await app.injectWS(
      path,
      {},
      { onInit: (one) => watch(`injected ${path}`, one) },
    );
    if (injected.readyState !== WebSocket.CLOSED) await next(injected, 'close');
  } catch (error) {
    log(`injected ${path}`, error.message);
  }
}
await app.close();
finish();
