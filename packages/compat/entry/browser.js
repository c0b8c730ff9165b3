function fail() {
  throw new Error(
    'ws does not work in the browser. Browser clients must use the native WebSocket object',
  );
}

export {
  fail as createWebSocketStream,
  fail as default,
  fail as extension,
  fail as PerMessageDeflate,
  fail as Receiver,
  fail as Sender,
  fail as subprotocol,
  fail as WebSocket,
  fail as WebSocketServer,
};
