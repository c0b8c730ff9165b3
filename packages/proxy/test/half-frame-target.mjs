// A target in a process of its own: it sends a whole frame, and half of one after the first bytes of
// the client. Its test kills it then.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const server = createServer();
server.on('upgrade', (req, socket) => {
  const key = req.headers['sec-websocket-key'] + GUID;
  const accept = createHash('sha1').update(key).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.write('\x81\x05whole', 'latin1');
  socket.once('data', () => {
    const half = Buffer.concat([Buffer.from([0x82, 126, 0x80, 0]), Buffer.alloc(1000)]);
    socket.write(half, () => process.send('half'));
  });
});
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
