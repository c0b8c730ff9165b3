// A client and a server of RFC 6455 that use only @ws/codec. The bytes travel over a MessagePort.
// A serial line or a pipe works too: the bytes only have to arrive in order.
import { MessageChannel } from 'node:worker_threads';
import { BinaryMessage, CloseCode, PingMessage, TextMessage } from '@ws/codec';
import { Peer } from './peer.ts';

const { port1, port2 } = new MessageChannel();
const server = new Peer(port1, 'server');
const client = new Peer(port2, 'client');

server.onMessage = (type, payload) => server.send(type, payload);
server.onClose = (code) => console.log(`server: closed with ${code}`);

client.onMessage = (type, payload) => {
  const text = type === TextMessage ? new TextDecoder().decode(payload) : `${payload.length} bytes`;
  console.log(`client: ${text}`);
  if (type === BinaryMessage) client.send(PingMessage, new TextEncoder().encode('still there?'));
};
client.onPong = () => {
  console.log('client: pong');
  client.close(CloseCode.NormalClosure, 'done');
};
client.onClose = (code) => console.log(`client: closed with ${code}`);

client.send(TextMessage, new TextEncoder().encode('hello, port'));
client.send(BinaryMessage, new Uint8Array(1024 * 1024));
