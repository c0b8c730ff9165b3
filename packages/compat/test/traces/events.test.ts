import { once } from 'node:events';
import { describe } from 'vitest';
import { closed, samePair, sameTrace, urlOf } from '../trace.ts';

const TYPES = ['open', 'message', 'error', 'close'] as const;

describe('addEventListener', () => {
  sameTrace('gives events', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws) => {
      ws.send('text');
      ws.send(Buffer.from('bytes'));
      ws.send(Buffer.from([0x83]));
      (ws as never as { _socket: { write(bytes: Buffer): void } })._socket.write(
        Buffer.from('8300', 'hex'),
      );
    });
    const client = new scene.ws(urlOf(wss));
    for (const type of TYPES) {
      client.addEventListener(type, function (this: unknown, event: object) {
        const {
          data,
          code,
          reason,
          wasClean,
          error,
          message,
          target,
          type: name,
        } = event as never as Record<string, unknown>;
        scene.log('client', event.constructor.name, name, target === client, this === client);
        scene.log('client', data, code, reason, wasClean, error, message);
      } as never);
    }
    await closed(client);
  });

  samePair('gives events that print as ws prints them', ({ server, client }, scene) => {
    for (const type of ['message', 'close'] as const) {
      client.addEventListener(type, (event: object) => {
        const names: string[] = [];
        for (const name in event) names.push(name);
        scene.log('client', JSON.stringify(event), Object.keys(event), names.toSorted().join());
        scene.attempt('client', 'assign', () => {
          (event as { type: string }).type = 'other';
        });
      });
    }
    server.send('text');
    server.close();
  });

  samePair(
    'takes an object, adds a handler once, knows once',
    async ({ server, client }, scene) => {
      const handler = {
        name: 'handler',
        handleEvent(event: { data: unknown }): void {
          scene.log('client', this.name, event.data);
        },
      };
      const first = (): void => scene.log('client', 'once');
      client.addEventListener('message', handler as never);
      client.addEventListener('message', handler as never);
      client.addEventListener('message', first as never, { once: true });
      client.addEventListener('message', first as never);
      client.addEventListener('ping' as never, first as never);
      client.addEventListener('constructor' as never, first as never);
      scene.log('client', client.listenerCount('message'), client.listenerCount('ping'));
      server.send('1');
      server.send('2');
      await new Promise<void>((resolve) => {
        client.on('message', (data) => void (String(data) === '2' && resolve()));
      });
      client.removeEventListener('message', handler as never);
      client.removeEventListener('message', handler as never);
      scene.log('client', client.listenerCount('message'));
      client.close();
    },
  );

  for (const wrong of [undefined, null, 'x', 1]) {
    samePair(`the handler ${String(wrong)}`, ({ client }, scene) => {
      scene.attempt('client', 'add', () => client.addEventListener('open', wrong as never));
      scene.attempt('client', 'remove', () => client.removeEventListener('open', wrong as never));
      client.close();
    });
  }
});

describe('onopen, onmessage, onerror and onclose', () => {
  samePair('are null, then what was set', ({ server, client }, scene) => {
    for (const type of TYPES) {
      const name = `on${type}` as 'onopen';
      const handler = (): void => scene.log('client', name);
      scene.log('client', client[name]);
      client[name] = handler;
      scene.log('client', client[name] === handler, client.listenerCount(type));
      client[name] = (() => scene.log('client', 'second', name)) as never;
      scene.log('client', client[name] === handler, client.listenerCount(type));
      client.addEventListener(type, client[name] as never);
      scene.log('client', client.listenerCount(type));
      client.removeEventListener(type, client[name] as never);
      scene.log('client', client.listenerCount(type));
      client[name] = 'nothing' as never;
      scene.log('client', client[name], client.listenerCount(type));
      client[name] = { handleEvent: handler } as never;
      scene.log('client', client[name], client.listenerCount(type));
      client[name] = handler;
    }
    client.on('message', () => {});
    scene.log('client', typeof client.onmessage);
    server.send('x');
    server.close(4000, 'reason');
  });

  samePair('a listener of on() is no attribute', ({ client }, scene) => {
    client.on('close', () => {});
    scene.log('client', client.onclose);
    client.close();
  });
});

describe('the properties', () => {
  samePair('can be written as JSON', ({ server, client }, scene) => {
    scene.attempt('server', 'JSON', () => typeof JSON.stringify(server));
    scene.attempt('client', 'JSON', () => typeof JSON.stringify(client));
    client.close();
  });

  sameTrace('can be set: _socket', async (scene) => {
    const wss = await scene.serve();
    wss.on('connection', (ws, request) => {
      const inner = ws as never as { _socket: unknown };
      scene.attempt('server', 'set', () => {
        inner._socket = request.socket;
        return inner._socket === request.socket;
      });
      ws.send('still sends');
      ws.close();
    });
    const client = scene.client(urlOf(wss));
    await closed(client);
  });

  sameTrace('are those of ws', async (scene) => {
    const { WebSocket, Server, WebSocketServer } = scene.ws;
    scene.log(
      'class',
      WebSocket === (scene.ws as unknown),
      Server === (WebSocketServer as unknown),
    );
    for (const name of ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'] as const) {
      scene.log('class', name, JSON.stringify(Object.getOwnPropertyDescriptor(scene.ws, name)));
      scene.log('class', JSON.stringify(Object.getOwnPropertyDescriptor(scene.ws.prototype, name)));
    }
    const { server, client } = await scene.pair();
    const names: string[] = [];
    for (const name in client)
      if (/^[a-zA-Z]/.test(name) && !name.startsWith('_')) names.push(name);
    scene.log(
      'client',
      names
        .filter((name) => !/emit|listener|event|domain/i.test(name))
        .toSorted()
        .join(),
    );
    for (const name of [
      'readyState',
      'url',
      'protocol',
      'extensions',
      'bufferedAmount',
      'isPaused',
    ]) {
      scene.attempt('client', name, () => {
        (client as never as Record<string, unknown>)[name] = 7;
      });
    }
    scene.log('client', server.url, server.protocol, server.extensions, server.isPaused);
    client.close();
    await closed(server, client);
  });

  samePair('work through a Proxy', async ({ server, client }, scene) => {
    const proxy = new Proxy(client, {});
    proxy.on('message', (data) => scene.log('client', String(data), proxy.readyState));
    proxy.send('to the server');
    server.on('message', () => server.send('answer'));
    await once(client, 'message');
    proxy.close(1000);
  });
});
