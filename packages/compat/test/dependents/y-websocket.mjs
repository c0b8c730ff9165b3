import { createRequire } from 'node:module';
import { WebSocket, WebSocketServer } from 'ws';
import * as awarenessProtocol from 'y-protocols/awareness';
import * as sync from 'y-protocols/sync';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { finish, log, next, sleep, website } from './trace.mjs';

const { encoding, decoding } = await lib0();
const { server: http, port } = await website();
const wss = new WebSocketServer({ server: http });
const doc = new Y.Doc();
const awareness = new awarenessProtocol.Awareness(doc);
/** From then on, the order of events depends on random waits. */
let reconnecting = false;
const SYNC = 0;
const AWARENESS = 1;

/** lib0 is a dependency of y-protocols. */
async function lib0() {
  const { resolve } = createRequire(createRequire(import.meta.url).resolve('y-protocols/sync'));
  const load = (name) => import(resolve(`lib0/${name}`));
  return { encoding: await load('encoding'), decoding: await load('decoding') };
}

function message(type, write) {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, type);
  write(encoder);
  return encoding.toUint8Array(encoder);
}

function broadcast(bytes) {
  for (const ws of wss.clients) if (ws.readyState === WebSocket.OPEN) ws.send(bytes);
}

doc.on('update', (update) =>
  broadcast(message(SYNC, (encoder) => sync.writeUpdate(encoder, update))),
);
awareness.on('update', ({ added, updated, removed }) => {
  const update = awarenessProtocol.encodeAwarenessUpdate(awareness, [
    ...added,
    ...updated,
    ...removed,
  ]);
  broadcast(message(AWARENESS, (encoder) => encoding.writeVarUint8Array(encoder, update)));
});
wss.on('connection', (ws, request) => {
  ws.binaryType = 'arraybuffer';
  if (!reconnecting) log('server', request.url);
  ws.on('message', (data) => {
    const decoder = decoding.createDecoder(new Uint8Array(data));
    if (decoding.readVarUint(decoder) === SYNC) {
      const answer = message(SYNC, (encoder) => sync.readSyncMessage(decoder, encoder, doc, ws));
      if (answer.length > 1) ws.send(answer);
    } else {
      awarenessProtocol.applyAwarenessUpdate(awareness, decoding.readVarUint8Array(decoder), ws);
    }
  });
  ws.send(message(SYNC, (encoder) => sync.writeSyncStep1(encoder, doc)));
});

const docs = Array.from({ length: 3 }, () => new Y.Doc());
const providers = docs.map((own, i) => {
  const provider = new WebsocketProvider(`ws://127.0.0.1:${port}`, 'room', own, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
    params: { who: String(i) },
  });
  provider.on('status', ({ status }) => reconnecting || log(`client ${i}`, status));
  provider.on('sync', (synced) => reconnecting || log(`client ${i}`, 'sync', synced));
  return provider;
});
for (const provider of providers) if (!provider.synced) await next(provider, 'sync');
for (let i = 0; i < 50; i++) docs[i % 3].getText('text').insert(0, `${i},`);
docs[0].getMap('map').set('bytes', new Uint8Array(70_000).fill(3));
providers[1].awareness.setLocalStateField('user', { name: 'one' });

async function until(condition) {
  while (!condition()) await sleep(5);
}
const length = () => docs.map((one) => one.getText('text').length);
await until(() => length().every((size) => size === length()[0]) && length()[0] >= 140);
await until(() => docs.every((one) => one.getMap('map').get('bytes')?.length === 70_000));
const state = (one) => Buffer.from(Y.encodeStateVector(one)).length;
log(
  'docs',
  length(),
  docs.every((one) => state(one) === state(docs[0])),
);
const texts = docs.map((one) => one.getText('text').toString());
log(
  'docs',
  texts.every((text) => text === texts[0]),
);
const named = ({ awareness: { states } }) =>
  [...states.values()].some(({ user }) => user?.name === 'one');
await until(() => named(providers[2]));
log('awareness', named(providers[1]));

// A lost connection comes back and catches up.
reconnecting = true;
for (const ws of wss.clients) ws.terminate();
docs[2].getText('text').insert(0, 'offline,');
await until(() => docs[0].getText('text').toString().startsWith('offline,'));
log('docs', 'caught up');
for (const provider of providers) provider.destroy();
wss.close();
http.close();
finish();
