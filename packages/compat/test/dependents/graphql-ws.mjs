import { buildSchema } from 'graphql';
import { createClient } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocket, WebSocketServer } from 'ws';
import { finish, log, website } from './trace.mjs';

const { server: http, port } = await website();
const schema = buildSchema(
  'type Query { hello: String fail: String } type Subscription { count(to: Int!): Int }',
);
const roots = {
  query: {
    hello: () => 'world',
    fail: () => {
      throw new Error('mine');
    },
  },
  subscription: {
    async *count({ to }) {
      for (let i = 1; i <= to; i++) yield { count: i };
    },
  },
};
const server = new WebSocketServer({ server: http, path: '/graphql' });
const disposable = useServer(
  {
    schema,
    roots,
    onConnect: ({ connectionParams }) => connectionParams?.token !== 'bad',
    onDisconnect: (_context, code, reason) => log('server', 'disconnect', code, reason),
    onClose: (_context, code, reason) => log('server', 'close', code, reason),
  },
  server,
);

function client(name, options = {}) {
  return createClient({
    url: `ws://127.0.0.1:${port}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    on: {
      opened: () => log(name, 'opened'),
      connected: () => log(name, 'connected'),
      closed: (event) => log(name, 'closed', event.code, event.reason, event.wasClean),
    },
    ...options,
  });
}

async function run(name, graph, query) {
  try {
    for await (const result of graph.iterate({ query })) log(name, JSON.stringify(result));
    log(name, 'done');
  } catch (error) {
    log(name, 'failed', error.code ?? error.message, error.reason);
  }
}

const good = client('good');
await run('good', good, '{ hello }');
await run('good', good, '{ fail }');
await run('good', good, '{ unknown }');
await run('good', good, 'subscription { count(to: 20) }');
await Promise.all(
  [1, 2, 3].map((n) => run(`parallel ${n}`, good, `subscription { count(to: ${n}) }`)),
);
await good.dispose();

const bad = client('bad', { connectionParams: { token: 'bad' } });
await run('bad', bad, '{ hello }');
const lazy = client('lazy', { lazy: false, onNonLazyError: () => {}, keepAlive: 20 });
await run('lazy', lazy, '{ hello }');
await new Promise((resolve) => setTimeout(resolve, 100));

for (const protocols of [[], ['foo']]) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/graphql`, protocols);
  ws.on('error', (error) => log('raw', error.message));
  await new Promise((resolve) => {
    ws.on('close', (code, reason) => {
      log('raw', code, String(reason));
      resolve();
    });
  });
}
const raw = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws');
raw.on('open', () => raw.send('not JSON'));
await new Promise((resolve) => {
  raw.on('close', (code, reason) => {
    log('raw', code, String(reason));
    resolve();
  });
});
await disposable.dispose();
await new Promise((resolve) => setTimeout(resolve, 50));
finish();
