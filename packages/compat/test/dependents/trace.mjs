// The traces of a program, by party: one JSON object on standard output.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const traces = {};

export function log(party, ...values) {
  traces[party] ??= [];
  traces[party].push(values.map(show).join(' '));
}

function show(value) {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = ArrayBuffer.isView(value)
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : Buffer.from(value);
    return `bytes ${bytes.length} ${digest(bytes)}`;
  }
  if (typeof value === 'string')
    return value.length > 100 ? `${value.length} ${digest(value)}` : value;
  return JSON.stringify(value) ?? String(value);
}

function digest(data) {
  return createHash('sha1').update(data).digest('hex').slice(0, 12);
}

/** An HTTP server on a free port of this machine. */
export async function website() {
  const server = createServer((_req, res) => res.writeHead(404).end());
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: server.address().port };
}

/** Resolves with the arguments of the next event. */
export function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function finish() {
  console.log(JSON.stringify(traces, undefined, 1));
  process.exit();
}
