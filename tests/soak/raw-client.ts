import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { RawPeer } from '../kit/raw-peer.ts';
import { KEY } from '../kit/upgrade-request.ts';
import type { RunState } from './run-state.ts';

/** Fields of an upgrade request. */
export interface RequestFields {
  readonly deflate?: boolean;
  readonly version?: string;
  readonly origin?: string;
}

/** An upgrade request. */
export function request(
  path: string,
  { deflate, version = '13', origin }: RequestFields = {},
): string {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${KEY}`,
    `Sec-WebSocket-Version: ${version}`,
    ...(deflate === true ? ['Sec-WebSocket-Extensions: permessage-deflate'] : []),
    ...(origin === undefined ? [] : [`Origin: ${origin}`]),
    '\r\n',
  ].join('\r\n');
}

/** Connects over TCP or TLS and sends nothing. */
export async function connectRaw(state: RunState, url: string): Promise<RawPeer> {
  const tcp = connect({ port: Number(new URL(url).port), host: '127.0.0.1' });
  await once(tcp, 'connect');
  tcp.once('close', state.enter());
  const { ca } = state;
  if (ca === undefined) return new RawPeer(tcp);
  const stream = connectTls({ socket: tcp, ca });
  const client = new RawPeer(stream, tcp);
  await once(stream, 'secureConnect');
  return client;
}

/** Sends an upgrade request and returns the status of the answer, 0 without one. Later bytes are discarded. */
export async function upgrade(
  client: RawPeer,
  path: string,
  fields?: RequestFields,
): Promise<number> {
  void client.write(request(path, fields));
  const head = await client.head().catch(() => '');
  client.discard();
  return Number(head.slice(9, 12));
}

/** Answers each ping with an empty pong: the server counts any byte as a sign of life. */
export function answerPings(client: RawPeer): void {
  client.stream.on('data', ([first]: Buffer) => {
    if (first === 0x89 && client.stream.writable) void client.send(10);
  });
}
