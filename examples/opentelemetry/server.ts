// An echo server that prints its spans and metrics.
import process from 'node:process';
import {
  ConsoleMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ConsoleSpanExporter,
} from '@opentelemetry/sdk-trace-base';
import { serve } from '@ws/node-server';
import { recordWebSockets } from './telemetry.ts';

// A real server exports to a collector: @opentelemetry/exporter-trace-otlp-http and its siblings.
const tracers = new BasicTracerProvider({
  spanProcessors: [new BatchSpanProcessor(new ConsoleSpanExporter())],
});
const meters = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter: new ConsoleMetricExporter() })],
});
recordWebSockets(tracers, meters);

const server = await serve({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' }, (conn) =>
  conn.receive((message) => conn.send(message)),
);

async function stop(): Promise<void> {
  await server.close();
  // Exports the spans of the last connections.
  await Promise.all([tracers.shutdown(), meters.shutdown()]);
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void stop());
}
console.log(server.url);
