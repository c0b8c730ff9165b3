// One copy of every class: the named exports of the CommonJS file.
import WebSocket from '#implementation';

export const {
  createWebSocketStream,
  extension,
  PerMessageDeflate,
  Receiver,
  Sender,
  subprotocol,
  WebSocketServer,
} = WebSocket;

export { WebSocket };
export default WebSocket;
