import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  type MeterProvider,
  type Span,
  SpanStatusCode,
  type TracerProvider,
} from '@opentelemetry/api';
import type { Diagnostics } from '@ws/node-server';

type Listeners = { readonly [Name in keyof Diagnostics]?: (event: Diagnostics[Name]) => void };

/**
 * Records a span for each connection and each refused handshake, and counts messages and bytes.
 * Covers every connection of the process.
 *
 * @returns A function that ends the recording.
 */
export function recordWebSockets(tracers: TracerProvider, meters: MeterProvider): () => void {
  const tracer = tracers.getTracer('@ws');
  const meter = meters.getMeter('@ws');
  const messages = meter.createCounter('websocket.messages');
  const bytes = meter.createCounter('websocket.bytes', { unit: 'By' });
  const open = meter.createUpDownCounter('websocket.connections');
  const spans = new WeakMap<object, Span>();

  const count = (direction: string) => (event: Diagnostics['@ws:message:in']) => {
    const attributes = { direction, 'websocket.role': event.conn.role };
    messages.add(1, attributes);
    bytes.add(event.bytes, attributes);
  };
  const listeners: Listeners = {
    '@ws:open': ({ conn }) => {
      const attributes = { 'websocket.role': conn.role, 'network.peer.address': conn.remoteAddr };
      spans.set(conn, tracer.startSpan('websocket', { attributes }));
      open.add(1, { 'websocket.role': conn.role });
    },
    '@ws:fail': ({ conn, error }) => {
      const span = spans.get(conn);
      span?.recordException(error as Error);
      span?.setStatus({ code: SpanStatusCode.ERROR });
    },
    '@ws:close': ({ conn, info }) => {
      spans.get(conn)?.setAttribute('websocket.close_code', info.code).end();
      open.add(-1, { 'websocket.role': conn.role });
    },
    '@ws:refuse': ({ status }) => {
      const attributes = { 'http.response.status_code': status };
      tracer.startSpan('websocket refused', { attributes }).end();
    },
    '@ws:message:in': count('in'),
    '@ws:message:out': count('out'),
  };
  const entries = Object.entries(listeners) as [string, (event: unknown) => void][];
  for (const [name, listener] of entries) subscribe(name, listener);
  return () => {
    for (const [name, listener] of entries) unsubscribe(name, listener);
  };
}
