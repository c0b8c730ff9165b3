import { once } from 'node:events';
import { describe, vi } from 'vitest';
import { closed, masked, type Scene, samePair, sameRaw, sameTrace, urlOf } from '../trace.ts';

/** As in Jest: the code of a package gets a fake `nextTick`, Node itself does not. */
function fakeTimers(scene: Scene): void {
  scene.cleanup(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
  vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] });
  const { nextTick } = process;
  vi.spyOn(process, 'nextTick').mockImplementation((callback, ...args) => {
    if (!isOfPackage(new Error('trace').stack!)) nextTick.call(process, callback, ...args);
  });
}

/** Whether the innermost caller that is no spy is ws or this package. */
function isOfPackage(stack: string): boolean {
  const lines = stack.split('\n').slice(1);
  const caller = lines.find((line) => !/fake-timers\.test|@vitest|tinyspy/.test(line)) ?? '';
  return /compat\/src|ws\/lib/.test(caller);
}

describe('fake timers', () => {
  samePair('let messages and the close through', ({ server, client }, scene) => {
    fakeTimers(scene);
    server.on('message', (data) => {
      server.send(data);
      server.send('again');
      client.close(1000, 'bye');
    });
    client.send('1');
    client.send('2');
  });

  sameRaw('let a fault of the peer through', async ({ server, socket }, scene) => {
    fakeTimers(scene);
    socket.write(masked(0x83));
    await once(server, 'error').catch(() => {});
    socket.end();
  });

  samePair('let a Blob through', async ({ server, client }, scene) => {
    fakeTimers(scene);
    client.send(new Blob(['blob']) as never, scene.callback('client', 'send') as never);
    await once(server, 'message');
    client.close();
  });

  sameTrace('let compressed messages through', async (scene) => {
    const wss = await scene.serve({ perMessageDeflate: { threshold: 0 } });
    wss.on('connection', (ws) => {
      for (let i = 0; i < 8; i++) ws.send(Buffer.alloc(1 << 20, i));
      ws.close(1000);
    });
    const client = new scene.ws(urlOf(wss));
    await once(client, 'upgrade');
    fakeTimers(scene);
    client.on('message', (data: Buffer) => scene.log('client', data.length, data[0]));
    await closed(client);
  });
});
