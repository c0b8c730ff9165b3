const WebSocket = require('ws');

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

test('is the class, and echoes', async () => {
  expect(require.resolve('ws')).toContain('compat');
  expect(WebSocket.WebSocket).toBe(WebSocket);
  const server = new WebSocket.WebSocketServer({ port: 0, perMessageDeflate: true });
  server.on('connection', (ws) => {
    expect(ws).toBeInstanceOf(WebSocket);
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  });
  await next(server, 'listening');
  const ws = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  await next(ws, 'open');
  const views = [new Uint8Array([1, 2]), new ArrayBuffer(3), new DataView(new ArrayBuffer(4))];
  for (const data of ['text', 'x'.repeat(100_000), Buffer.alloc(5), ...views]) {
    const echoed = next(ws, 'message');
    ws.send(data);
    const bytes = await echoed;
    expect(bytes).toBeInstanceOf(Buffer);
    expect(bytes.length).toBe(data.length ?? data.byteLength);
  }
  ws.close();
  await next(ws, 'close');
  await new Promise((resolve) => server.close(resolve));
});
