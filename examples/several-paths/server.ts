// Several WebSocket endpoints on one port: a chat, and feeds by topic.
import process from 'node:process';
import { broadcast, type Conn, serve } from '@ws/node-server';

const visitors = new Set<Conn>();
const feeds = new Map<string, Set<Conn>>();

const server = await serve(
  {
    port: Number(process.env['PORT'] ?? 0),
    host: '127.0.0.1',
  },
  {
    '/chat': (conn) => {
      visitors.add(conn);
      void conn.closed.then(() => visitors.delete(conn));
      return conn.receive((message) => void broadcast(visitors, message));
    },
    // `params.topic` is a string, also for the compiler.
    '/feed/:topic': (conn, _req, { params }) => {
      subscribe(conn, params.topic);
      return conn.discardReads();
    },
    // Anyone may publish here. To change that, wrap the handler: `route({ authenticate }, ...)`.
    '/feed/:topic/publish': (conn, _req, { params }) =>
      conn.receive((message) => void broadcast(feeds.get(params.topic) ?? [], message)),
  },
).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

function subscribe(conn: Conn, topic: string): void {
  const feed = feeds.get(topic) ?? new Set();
  feeds.set(topic, feed.add(conn));
  void conn.closed.then(() => {
    feed.delete(conn);
    // Clients choose topics freely: delete a topic without subscribers.
    if (feed.size === 0) feeds.delete(topic);
  });
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
console.log(server.url);
