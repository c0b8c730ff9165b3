import { Aedes } from 'aedes';
import mqtt from 'mqtt';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { finish, log, next, website } from '../trace.mjs';

const broker = await Aedes.createBroker();
const { server: http, port } = await website();
const wss = new WebSocketServer({ server: http });
wss.on('connection', (ws, request) => {
  log('broker', 'subprotocol', ws.protocol);
  broker.handle(createWebSocketStream(ws), request);
});
broker.on('client', ({ id }) => log('broker', 'client', id));
broker.on('clientDisconnect', ({ id }) => log('broker', 'gone', id));

async function connect(clientId, options) {
  const client = mqtt.connect(`ws://127.0.0.1:${port}`, {
    clientId,
    reconnectPeriod: 0,
    ...options,
  });
  client.on('close', () => log(clientId, 'close'));
  client.on('error', (error) => log(clientId, error));
  await next(client, 'connect');
  return client;
}

const reader = await connect('reader');
log('reader', 'granted', await reader.subscribeAsync({ 'a/+': { qos: 2 }, will: { qos: 1 } }));
const writer = await connect('writer', { will: { topic: 'will', payload: 'gone', qos: 1 } });
const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 256));
const payloads = ['', 'text', 'ünï → 🚀', bytes, 'x'.repeat(70_000)];
let left = payloads.length * 3;
const all = new Promise((resolve) => {
  reader.on('message', (topic, payload, { qos, retain }) => {
    log(`reader ${topic}`, payload, qos, retain);
    if (--left === 0) resolve();
  });
});
for (const qos of [0, 1, 2]) {
  for (const payload of payloads) await writer.publishAsync(`a/${qos}`, payload, { qos });
}
await all;
const late = next(reader, 'message');
await writer.publishAsync('a/many', 'last', { retain: true });
await late;
const will = next(reader, 'message');
writer.stream.destroy();
log('reader', 'will', String((await will)[1]));
await reader.endAsync();
await new Promise((resolve) => broker.close(resolve));
finish();
