// An echo server, and its metrics for Prometheus on another port.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { serve } from '@ws/node-server';
import { collectDefaultMetrics, register } from 'prom-client';
import { countWebSockets } from './metrics.ts';

const { PORT = '0', METRICS_PORT = '0' } = process.env;
const server = await serve({ port: Number(PORT), host: '127.0.0.1' }, (conn) =>
  conn.receive((message) => conn.send(message)),
);
collectDefaultMetrics();
countWebSockets(server, register);

// Another port, so that strangers cannot reach it.
const scraped = createServer((_req, res) => {
  res.setHeader('Content-Type', register.contentType);
  void register.metrics().then((text) => res.end(text));
}).listen(Number(METRICS_PORT), '127.0.0.1');
await once(scraped, 'listening');

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void server.close();
    scraped.close();
  });
}
console.log(server.url);
console.log(`http://127.0.0.1:${(scraped.address() as AddressInfo).port}/metrics`);
