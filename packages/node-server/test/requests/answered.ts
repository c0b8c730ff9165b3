import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { selfSigned } from '@ws/tests';
import { afterAll, beforeAll, expect } from 'vitest';
import { type Conn, serve, Upgrader, type UpgraderOptions } from '../../src/index.ts';
import {
  ACCEPT,
  type Answer,
  connectRaw,
  masked,
  parseAnswer,
  RawPeer,
  type RequestChange,
  request,
} from '../raw.ts';

/** A request and its answer. */
export interface Row extends RequestChange {
  says: string;
  /** The whole request, if it is not a valid one with changes. */
  raw?: string;
  /**
   * With 101, frames are echoed, early ones too. Otherwise the answer is the only one, and the
   * server ends.
   */
  status: number;
  /** A part of the text of a refusal. */
  text?: RegExp;
  /** Headers of the answer, by name in lower case. */
  headers?: Record<string, string>;
  /** The chosen subprotocol. */
  protocol?: string;
  /** Node's parser rejects it; a given server answers a bare status. */
  parser?: true;
  /** Node reads it as a plain request; a given server serves it as one. */
  plain?: true;
}

/** Options of the servers, besides an echo handler. */
export interface StageOptions extends UpgraderOptions {
  /** Patterns; other paths get 404. */
  readonly routes?: readonly string[];
}

/**
 * The servers for each row: `serve` over TCP and over TLS, and an Upgrader on a node:http server.
 */
interface Stage {
  readonly by: string;
  readonly port: number;
  readonly secure: boolean;
  readonly own: boolean;
  close(): Promise<void>;
}

const echo = (conn: Conn): unknown => conn.receive((message) => conn.send(message));
/** A request that must not be served after a refused one. */
const NEXT = 'GET /admin HTTP/1.1\r\nHost: server.example.com\r\n\r\n';

/** Echoes on every path of `patterns`. */
const echoing = (patterns: readonly string[]): Record<string, typeof echo> =>
  Object.fromEntries(patterns.map((pattern) => [pattern, echo]));

async function serving({ routes, ...options }: StageOptions, secure: boolean): Promise<Stage> {
  const tls = secure ? await selfSigned() : undefined;
  const where = { host: '127.0.0.1', tls, ...options };
  const server = await (routes === undefined ? serve(where, echo) : serve(where, echoing(routes)));
  const by = secure ? 'serve over TLS' : 'serve';
  const port = Number(new URL(server.url).port);
  return {
    by,
    port,
    secure,
    own: true,
    close: async () => void (await server.close({ timeout: 1 })),
  };
}

async function upgrading({ routes, ...options }: StageOptions): Promise<Stage> {
  const server = createServer((_req, res) => res.setHeader('Connection', 'close').end('served'));
  const upgrader = new Upgrader(options);
  server.on(
    'upgrade',
    routes === undefined ? upgrader.handler(echo) : upgrader.handler(echoing(routes)),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.close();
    await once(server, 'close');
  };
  return { by: 'Upgrader.handler', port, secure: false, own: false, close };
}

async function clientOf({ port, secure }: Stage): Promise<RawPeer> {
  if (!secure) return connectRaw(port);
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return new RawPeer(socket);
}

/** Sends the bytes of a row; returns the answer, and the bytes after the head of a 101. */
async function ask(stage: Stage, row: Row): Promise<Answer> {
  const client = await clientOf(stage);
  let ended = false;
  client.stream.once('end', () => {
    ended = true;
    // Wakes the waiting test.
    client.stream.destroy();
  });
  const behind = row.status === 101 ? masked(1, 'hi') : NEXT;
  const sent = Buffer.concat([Buffer.from(row.behind ?? ''), Buffer.from(behind)]);
  client.stream.write(
    row.raw === undefined
      ? request({ ...row, behind: sent })
      : Buffer.concat([Buffer.from(row.raw, 'latin1'), sent]),
  );
  const echoed = Buffer.from([0x81, 2, 0x68, 0x69]);
  await client.until(() => ended || client.received.includes(echoed));
  client.stream.destroy();
  await client.closed;
  expect(ended, `${stage.by}: the server ends what it refuses`).toBe(row.status !== 101);
  return parseAnswer(client.received.toString('latin1'));
}

function expectUpgrade(answer: Answer, { protocol, headers = {} }: Row): void {
  expect(answer.statusLine).toBe('HTTP/1.1 101 Switching Protocols');
  const names = ['Upgrade', 'Connection', 'Sec-WebSocket-Accept'];
  if (protocol !== undefined) names.push('Sec-WebSocket-Protocol');
  expect(answer.names).toEqual(names);
  expect(answer.headers.get('sec-websocket-accept')).toBe(
    headers['sec-websocket-accept'] ?? ACCEPT,
  );
  expect(answer.headers.get('sec-websocket-protocol')).toBe(protocol);
  expect(answer.body).toBe('\x81\x02hi');
}

function expectRefusal(answer: Answer, { status, text = /./, headers = {} }: Row): void {
  expect(answer.status).toBe(status);
  const upgrade = answer.headers.has('upgrade');
  expect(answer.headers.get('connection')).toBe(upgrade ? 'close, Upgrade' : 'close');
  expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(answer.headers.get('sec-websocket-version')).toBe('13');
  expect(answer.headers.get('content-length')).toBe(String(answer.body.length));
  expect(answer.body).toMatch(text);
  expect(answer.body.length).toBeLessThan(160);
  for (const [name, value] of Object.entries(headers)) {
    expect(answer.headers.get(name)).toBe(value);
  }
}

/** Starts the servers for a file's rows; returns a function that checks one row. */
export function answering(options: StageOptions = {}): (row: Row) => Promise<void> {
  const stages: Stage[] = [];
  beforeAll(async () => {
    stages.push(await serving(options, false), await serving(options, true));
    stages.push(await upgrading(options));
  });
  afterAll(() => Promise.all(stages.map((stage) => stage.close())));
  return async (row) => {
    for (const stage of stages) await tryRow(stage, row);
  };
}

async function tryRow(stage: Stage, row: Row): Promise<void> {
  const answer = await ask(stage, row);
  if (row.status === 101) return expectUpgrade(answer, row);
  expect(answer.raw.split('HTTP/1.1 ').length, `${stage.by}: one answer`).toBe(2);
  if (stage.own || !(row.parser ?? row.plain ?? false)) return expectRefusal(answer, row);
  expect(answer.status).toBe(row.plain ? 200 : row.status);
}
