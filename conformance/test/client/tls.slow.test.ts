import { type ConnectionOptions, connect } from 'node:tls';
import { Dialer } from '@ws/node-client';
import { selfSigned } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { clientSuiteCases } from '../../src/index.ts';
import { judged } from '../judged.ts';
import { askClient, differences, type EchoClient } from './ask-client.ts';

/** Timeout of a wait in ms: on a busy machine a TLS handshake takes seconds. */
const BUSY = 30_000;

async function report(client: EchoClient, host: string, only = '14', timeout = BUSY) {
  const { cert, key } = await selfSigned();
  return askClient(client, { only: [only], timeout, host, tls: { cert, key } });
}

const INSECURE = { rejectUnauthorized: false };

const ours: EchoClient = async (url) => {
  const conn = await new Dialer({ tls: INSECURE }).dial(url);
  await conn.receive((message) => conn.writeMessage(message.type, message.data));
};

const ofWs: EchoClient = (url) =>
  new Promise((resolve) => {
    const ws = new WebSocket(url, INSECURE);
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
    ws.on('error', () => {});
    ws.on('close', resolve);
  });

/** Faults of TLS, and the case that reports each. */
const FAULTS = {
  'sends no server_name': 'the host name in the TLS handshake',
  'sends an address as server_name': 'no address as the host name in the TLS handshake',
  'offers only h2': 'the protocols in ALPN',
  'needs an answer in one record': 'an answer and a message in records of 7 bytes',
  'keeps TCP open after our FIN': 'our FIN without close_notify',
} as const;

/** A client that only opens the connection, with a fault. */
function faulty(fault: keyof typeof FAULTS): EchoClient {
  return (text) =>
    new Promise<void>((resolve) => {
      const url = new URL(text);
      const has = (one: keyof typeof FAULTS): boolean => fault === one;
      const options: ConnectionOptions & { allowHalfOpen: boolean } = {
        ...INSECURE,
        host: url.hostname,
        port: Number(url.port),
        allowHalfOpen: true,
        ...(!has('sends no server_name') && { servername: url.hostname }),
        ALPNProtocols: [has('offers only h2') ? 'h2' : 'http/1.1'],
      };
      const socket = connect(options);
      socket.on('close', () => resolve());
      socket.on('error', () => {});
      socket.on('end', () => has('keeps TCP open after our FIN') || socket.end());
      socket.once('data', (chunk: Buffer) => {
        const whole = chunk.includes('\r\n\r\n');
        if (has('needs an answer in one record') && !whole) socket.destroy();
      });
      socket.on('data', (chunk: Buffer) => {
        // Pongs for the ping of the suite, with a key of zeros.
        if (chunk[0] === 0x89) {
          socket.write(
            Buffer.concat([Buffer.of(0x8a, 0x80 | chunk[1]!), Buffer.alloc(4), chunk.subarray(2)]),
          );
        }
      });
      socket.write(
        `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\n` +
          'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
      );
    });
}

describe('chapter 14 of the client suite', () => {
  it.each([
    ['our client', ours],
    ['ws', ofWs],
  ])('passes %s', async (_, client) => {
    const results = await report(client, 'localhost');
    expect(differences(results)).toEqual([]);
    expect(results.map(({ verdict }) => verdict)).toEqual(results.map(() => 'pass'));
  });

  it('skips the host name for an address', async () => {
    const results = await report(ours, '127.0.0.1');
    expect(differences(results)).toEqual([]);
    const skipped = results.filter(({ verdict }) => verdict === 'skipped');
    expect(skipped.map(({ title }) => title)).toEqual(['the host name in the TLS handshake']);
  });

  it.each(Object.entries(FAULTS))('reports a client that %s', async (fault, title) => {
    const [one] = clientSuiteCases(['14']).filter((facts) => facts.title === title);
    const host = fault === 'sends an address as server_name' ? '127.0.0.1' : 'localhost';
    const client = faulty(fault as keyof typeof FAULTS);
    const results = await judged(() => report(client, host, one!.id, 1000));
    expect(results.map(({ verdict }) => verdict)).toEqual([
      one!.level === 'must' ? 'fail' : 'non-strict',
    ]);
  });

  it('is skipped without TLS', async () => {
    const plain: EchoClient = async (url) => {
      const conn = await new Dialer().dial(url);
      await conn.receive((message) => conn.writeMessage(message.type, message.data));
    };
    const results = await askClient(plain, { only: ['14'] });
    expect(new Set(results.map(({ because }) => because.join()))).toEqual(
      new Set(['the URL is not wss:']),
    );
  });
});
