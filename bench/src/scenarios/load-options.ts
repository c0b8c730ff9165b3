import { availableParallelism } from 'node:os';
import type { LoadPlan } from '../client/plan.ts';
import type { Command, Values } from '../command-line/command.ts';
import { list, size, time, wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';

const MIB = 1024 ** 2;
const MOST_PAYLOAD = 256 * MIB;
/** Default limit of bytes in flight on a connection, at a fixed rate. */
const IN_FLIGHT = 16 * MIB;
const SCHEMES: readonly string[] = ['ws:', 'wss:', 'ws+unix:', 'wss+unix:'];

/** The options of `ws-bench load`. */
export const LOAD_OPTIONS: Command['options'] = {
  connections: { type: 'string' },
  payload: { type: 'string' },
  depth: { type: 'string' },
  rate: { type: 'string' },
  duration: { type: 'string' },
  timeout: { type: 'string' },
  text: { type: 'boolean' },
  binary: { type: 'boolean' },
  compression: { type: 'boolean' },
  insecure: { type: 'boolean' },
  header: { type: 'string', multiple: true },
  subprotocol: { type: 'string', multiple: true },
  workers: { type: 'string' },
};

/** @throws UsageError that names the option. */
export function readPlan(url: string, values: Values): LoadPlan {
  const { text = false, binary = false } = values;
  if (text === true && binary === true) throw new UsageError('--text and --binary: choose one');
  const payload = size(values, 'payload', 128, MOST_PAYLOAD);
  const rate = values['rate'] === undefined ? undefined : wholeNumber(values, 'rate', 0);
  const room = Math.min(1000, Math.max(1, Math.floor(IN_FLIGHT / Math.max(1, payload))));
  return {
    url: checkUrl(url),
    connections: wholeNumber(values, 'connections', 50, { most: 100_000 }),
    payload,
    text: text === true,
    depth: wholeNumber(values, 'depth', rate === undefined ? 1 : room, { most: 100_000 }),
    rate,
    durationMs: time(values, 'duration', 10_000),
    timeoutMs: time(values, 'timeout', 10_000),
    compression: values['compression'] === true,
    insecure: values['insecure'] === true,
    headers: list(values['header']).map(readHeader),
    subprotocols: list(values['subprotocol']),
  };
}

/**
 * Number of processes: half of the cores by default, because the server may run on this machine. At
 * most one for each connection.
 */
export function readWorkers(values: Values, connections: number): number {
  const half = Math.max(1, Math.floor(availableParallelism() / 2));
  return Math.min(connections, wholeNumber(values, 'workers', half, { most: 256 }));
}

function checkUrl(text: string): string {
  const wrong = (why: string): UsageError =>
    new UsageError(
      `'${text}' is no WebSocket URL: ${why}; expected ws://host:port/ or wss://host/`,
    );
  if (!URL.canParse(text)) throw wrong('it cannot be parsed');
  const { protocol, username, password } = new URL(text);
  if (!SCHEMES.includes(protocol)) throw wrong(`${protocol}// is another protocol`);
  if (username !== '' || password !== '') {
    throw new UsageError("the URL contains credentials; use --header 'Authorization: ...'");
  }
  return text;
}

function readHeader(given: string): readonly [string, string] {
  const [, name, value] = /^([^:]+):\s*(.*)$/.exec(given) ?? [];
  if (name !== undefined && value !== undefined) return [name.trim(), value];
  throw new UsageError(`--header: expected 'Name: value', got '${given}'`);
}
