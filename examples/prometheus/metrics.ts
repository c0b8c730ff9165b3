import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Diagnostics, WsServer } from '@ws/node-server';
import { Counter, Gauge, type Registry } from 'prom-client';

/**
 * Registers the metrics of a server.
 *
 * @returns A function that ends the counting.
 */
export function countWebSockets({ connections }: WsServer, registry: Registry): () => void {
  const registers = [registry];
  const labelled = (name: string, help: string, label: string): Counter =>
    new Counter({ name, help, labelNames: [label], registers });
  const messages = labelled('ws_messages_total', 'whole messages', 'direction');
  const bytes = labelled('ws_message_bytes_total', 'uncompressed payload', 'direction');
  const closed = labelled('ws_closed_total', 'connections that have ended', 'code');
  const refused = labelled('ws_refused_total', 'upgrades that were refused', 'status');
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('ws_connections', 'open connections', () => connections.size);
  gauge('ws_waiting_bytes', 'bytes that wait for slow clients', () =>
    [...connections].reduce((sum, { bufferedAmount }) => sum + bufferedAmount, 0),
  );

  const count = (direction: string) => (event: unknown) => {
    const { conn, bytes: size } = event as Diagnostics['@ws:message:in'];
    if (conn.role !== 'server') return;
    messages.inc({ direction });
    bytes.inc({ direction }, size);
  };
  const listeners: Record<string, (event: unknown) => void> = {
    '@ws:message:in': count('in'),
    '@ws:message:out': count('out'),
    '@ws:close': (event) => {
      const { conn, info } = event as Diagnostics['@ws:close'];
      // Clients choose codes from 3000 to 4999: one label for all of them.
      if (conn.role === 'server') closed.inc({ code: Math.min(info.code, 3000) });
    },
    '@ws:refuse': (event) => refused.inc({ status: (event as Diagnostics['@ws:refuse']).status }),
  };
  for (const [name, listener] of Object.entries(listeners)) subscribe(name, listener);
  return () => {
    for (const [name, listener] of Object.entries(listeners)) unsubscribe(name, listener);
  };
}
