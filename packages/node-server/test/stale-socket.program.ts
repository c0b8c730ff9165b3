// A process of stale-socket.test.ts: listens on the path that it is sent, and answers with what came of it.
import process from 'node:process';
import { serve, type WsServer } from '../src/index.ts';

let server: WsServer | undefined;

process.on('message', (request: 'close' | { socketPath: string }) => void answer(request));
process.send!('ready');

async function answer(request: 'close' | { socketPath: string }): Promise<unknown> {
  if (request === 'close') {
    await server!.close();
    return process.send!('closed');
  }
  try {
    const { socketPath } = request;
    server = await serve({ socketPath, replaceStale: true }, (conn) => conn.send(`${process.pid}`));
    process.send!('listens');
  } catch (error) {
    process.send!((error as NodeJS.ErrnoException).code ?? String(error));
  }
}
