import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { describe, expect, it, onTestFinished } from 'vitest';
import { recordWebSockets } from '../telemetry.ts';

const PERIOD_MS = 3_600_000;

function record() {
  const spans = new InMemorySpanExporter();
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter: metrics,
    exportIntervalMillis: PERIOD_MS,
  });
  const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
  const meters = new MeterProvider({ readers: [reader] });
  const stop = recordWebSockets(tracers, meters);
  onTestFinished(async () => {
    stop();
    await Promise.all([tracers.shutdown(), meters.shutdown()]);
  });
  return {
    spans: () =>
      spans
        .getFinishedSpans()
        .map(({ name, attributes }): Record<string, unknown> => ({ name, ...attributes })),
    events: () => spans.getFinishedSpans().flatMap(({ events }) => events.map(({ name }) => name)),
    /** The value of each counter, by its name and attributes. */
    async counts(): Promise<Record<string, unknown>> {
      await reader.forceFlush();
      const found = metrics
        .getMetrics()
        .at(-1)!
        .scopeMetrics.flatMap((scope) => scope.metrics);
      return Object.fromEntries(
        found.flatMap(({ descriptor, dataPoints }) =>
          dataPoints.map(({ attributes, value }) => [
            [descriptor.name, ...Object.values(attributes)].join(' '),
            value,
          ]),
        ),
      );
    },
  };
}

function byRole(a: Record<string, unknown>, b: Record<string, unknown>): number {
  return String(a['websocket.role']).localeCompare(String(b['websocket.role']));
}

describe('recordWebSockets of examples/opentelemetry', () => {
  it('records a span for each end of a connection, and counts messages and bytes', async () => {
    const recorded = record();
    const server = await serve({ port: 0 }, (conn) =>
      conn.receive((message) => conn.send(message)),
    );
    const conn = await dial(server.url);
    await conn.send('hello');
    await conn.readMessage();
    expect(await recorded.counts()).toEqual({
      'websocket.connections client': 1,
      'websocket.connections server': 1,
      'websocket.messages out client': 1,
      'websocket.messages in server': 1,
      'websocket.messages out server': 1,
      'websocket.messages in client': 1,
      'websocket.bytes out client': 5,
      'websocket.bytes in server': 5,
      'websocket.bytes out server': 5,
      'websocket.bytes in client': 5,
    });
    expect(recorded.spans()).toEqual([]);
    await conn.close();
    await server.close();
    expect(recorded.spans().toSorted(byRole)).toEqual(
      ['client', 'server'].map((role) => ({
        name: 'websocket',
        'websocket.role': role,
        'network.peer.address': expect.stringMatching(/127\.0\.0\.1\]?:\d+$/),
        'websocket.close_code': 1000,
      })),
    );
    expect(await recorded.counts()).toMatchObject({ 'websocket.connections server': 0 });
  });

  it('records a refused handshake with its status', async () => {
    const recorded = record();
    const server = await serve({ port: 0, authenticate: () => false }, () => {});
    await expect(dial(server.url)).rejects.toMatchObject({ status: 401 });
    await server.close();
    expect(recorded.spans()).toEqual([
      { name: 'websocket refused', 'http.response.status_code': 401 },
    ]);
  });

  it('records the fault of a connection that is cut', async () => {
    const recorded = record();
    const server = await serve({ port: 0 }, (conn) => conn.discardReads());
    const conn = await dial(server.url);
    conn.terminate();
    await conn.closed;
    await server.close();
    expect(recorded.events()).toContain('exception');
    expect(recorded.spans()).toContainEqual(
      expect.objectContaining({ 'websocket.role': 'server', 'websocket.close_code': 1006 }),
    );
  });
});
