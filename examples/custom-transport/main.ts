// main.ts endpoint|frames|deflate server <port>: echoes every message.
// main.ts endpoint|frames client <port> <text>: prints the answer.
import { TextMessage } from '@ws/codec';
import * as deflate from './deflate.ts';
import * as endpoint from './endpoint.ts';
import * as frames from './frames.ts';
import { Peer } from './peer.ts';

const [program, command, at = '8080', text = 'hello'] = process.argv.slice(2);
const port = Number(at);
const print = (line: string | number): void => console.log(line);

if (command === 'server') {
  const { serve } = { endpoint, frames, deflate }[program as 'endpoint'] ?? endpoint;
  const server = serve(port);
  server.on('listening', () => print(JSON.stringify(server.address())));
} else if (program === 'frames') {
  const peer = new Peer('client');
  peer.onMessage = (_type, payload) => {
    print(new TextDecoder().decode(payload));
    peer.close(1000, 'done');
  };
  peer.onClose = print;
  peer.send(TextMessage, new TextEncoder().encode(text));
  frames.dial(port, peer).on('error', ({ message }) => print(message));
} else {
  const socket = endpoint.dial(port, text, (event, self) => {
    if (event.kind === 'text') print(event.text);
    if (event.kind === 'text') self.close(1000, 'done');
    if (event.kind === 'close') print(event.code);
  });
  socket.on('error', ({ message }) => print(message));
}
