import { JSDOM } from 'jsdom';
import { WebSocketServer } from 'ws';
import { finish, log, next, website } from '../trace.mjs';

const { server: http, port } = await website();
const wss = new WebSocketServer({
  server: http,
  handleProtocols: (protocols) => (protocols.has('two') ? 'two' : false),
});
wss.on('connection', (ws, request) => {
  const { cookie, origin } = request.headers;
  log('server', request.url, origin.replace(port, 'PORT'), ws.protocol, cookie);
  ws.on('message', (data, isBinary) => {
    if (String(data) === 'close me') ws.close(4001, 'as you wish');
    else ws.send(data, { binary: isBinary });
  });
  ws.on('close', (code, reason) => log('server', 'close', code, String(reason)));
});

const { window } = new JSDOM('', { url: `http://127.0.0.1:${port}/page` });
window.document.cookie = 'a=b';

function open(name, path, protocols) {
  const ws = new window.WebSocket(`ws://127.0.0.1:${port}${path}`, protocols);
  for (const type of ['open', 'message', 'error', 'close']) {
    ws.addEventListener(type, (event) => {
      const { data, code, reason, wasClean } = event;
      const { constructor, size } = data ?? {};
      log(name, type, ws.readyState, constructor?.name, size ?? data, code, reason, wasClean);
    });
  }
  return ws;
}
const event = (ws, type) => new Promise((resolve) => (ws[`on${type}`] = resolve));

const text = open('text', '/text', ['one', 'two']);
await event(text, 'open');
log('text', text.protocol, text.extensions, text.binaryType, text.bufferedAmount);
for (const data of ['', 'hello', 'ünï → 🚀', 'x'.repeat(100_000)]) {
  const echoed = event(text, 'message');
  text.send(data);
  await echoed;
}
for (const type of ['blob', 'arraybuffer']) {
  text.binaryType = type;
  for (const data of [new Uint8Array([1, 2, 3]), new window.Blob(['blob']), new ArrayBuffer(0)]) {
    const echoed = event(text, 'message');
    text.send(data);
    await echoed;
  }
}
for (const [code, reason] of [
  [1001, ''],
  [3000, 'x'.repeat(124)],
]) {
  try {
    text.close(code, reason);
  } catch (error) {
    log('text', 'throws', error.name);
  }
}
text.send('close me');
await event(text, 'close');

const ours = open('ours', '/ours');
await event(ours, 'open');
const gone = next([...wss.clients].at(-1), 'close');
ours.close(3001, 'bye');
log('ours', ours.readyState);
await Promise.all([event(ours, 'close'), gone]);

const early = open('early', '/early');
early.close();
await event(early, 'close');
http.removeAllListeners('upgrade');
const refused = open('refused', '/refused');
await event(refused, 'close');
window.close();
finish();
