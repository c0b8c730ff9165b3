import { createRequire } from 'node:module';
import { WebSocket, WebSocketServer } from 'ws';
import { finish, log, next, website } from '../trace.mjs';

// One copy of yjs: the server of y-websocket 2 is CommonJS.
const require = createRequire(import.meta.url);
const { docs, setupWSConnection } = require('y-websocket/bin/utils');
const { WebsocketProvider } = require('y-websocket');
const Y = require('yjs');

const { server: http, port } = await website();
const wss = new WebSocketServer({ server: http });
wss.on('connection', (ws, request) => setupWSConnection(ws, request));

function join(name) {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`ws://127.0.0.1:${port}`, 'room', doc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
  });
  provider.on('status', ({ status }) => log(name, status));
  return { doc, provider, text: doc.getText('text'), map: doc.getMap('map') };
}

function until(check) {
  return new Promise((resolve) => {
    const look = () => (check() ? resolve() : setTimeout(look, 5));
    look();
  });
}

const [one, two] = [join('one'), join('two')];
await until(() => one.provider.synced && two.provider.synced);
for (let i = 0; i < 200; i++) (i % 2 ? one : two).text.insert(0, `${i} `);
one.map.set('bytes', new Uint8Array(50_000).fill(7));
const length = Array.from({ length: 200 }, (_, i) => `${i} `).join('').length;
await until(() => one.text.length === length && two.text.length === length);
await until(() => two.map.has('bytes'));
log('same', one.text.toString() === two.text.toString(), two.map.get('bytes').length);
log('server', docs.get('room').getText('text').length);
two.provider.awareness.setLocalStateField('user', 'second');
await until(() => [...one.provider.awareness.getStates().values()].some(({ user }) => user));
log('awareness', one.provider.awareness.getStates().size);
two.provider.disconnect();
await until(() => one.provider.awareness.getStates().size === 1);
one.text.insert(0, 'while you were away');
two.provider.connect();
await until(() => two.text.toString().startsWith('while you were away'));
log('back', two.text.toString() === one.text.toString());
const left = Promise.all([...wss.clients].map((ws) => next(ws, 'close')));
for (const { provider } of [one, two]) provider.destroy();
await left;
log('server', wss.clients.size);
finish();
