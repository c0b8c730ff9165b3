// The functions of the option `tls` with a function that throws, rejects, never settles, and returns
// nonsense: the client fails, the server lives, and the error is reported.
import { once } from 'node:events';
import tls from 'node:tls';
import { mine, selfSigned, WRONG_FUNCTIONS, type Wrong } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { serve } from '../src/index.ts';
import { trapLeftovers } from './raw.ts';

trapLeftovers();

/** Whether a client can do the TLS handshake. It waits for the server if `options` has no timeout. */
async function connects(port: number, options: tls.ConnectionOptions): Promise<boolean> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...options,
  });
  const secure = await new Promise<boolean>((resolve) => {
    socket.once('secureConnect', () => resolve(true));
    for (const event of ['error', 'close', 'timeout']) socket.on(event, () => resolve(false));
  });
  socket.destroy();
  await once(socket, 'close');
  return secure;
}

const PSK = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

const callbacks = {
  SNICallback: { server: {}, client: { servername: 'example.org' } },
  ALPNCallback: { server: {}, client: { ALPNProtocols: ['http/1.1'] } },
  pskCallback: {
    server: PSK,
    client: {
      ...PSK,
      checkServerIdentity: () => undefined,
      pskCallback: () => ({ psk: Buffer.alloc(16), identity: 'me' }),
    },
  },
} as const;

const wrongs = Object.keys(WRONG_FUNCTIONS) as Wrong[];

describe.each(Object.entries(callbacks))('tls.%s', (name, { server: ciphers, client }) => {
  it.each(wrongs)('that %s fails its client only', async (wrong) => {
    const reported: unknown[] = [];
    const server = await serve(
      {
        port: 0,
        host: '127.0.0.1',
        report: (error, { where }) => void reported.push([error, where]),
        // Nonsense leaves some clients without an answer.
        ...(wrong === 'returns nonsense' ? { handshakeTimeout: 300 } : {}),
        tls: { ...(await selfSigned()), ...ciphers, [name]: WRONG_FUNCTIONS[wrong] },
      },
      () => {},
    );
    const port = Number(new URL(server.url).port);
    const options = client as tls.ConnectionOptions;
    const timeout = wrong === 'never settles' ? 300 : undefined;
    expect(await connects(port, { ...options, timeout })).toBe(false);
    if (wrong === 'throws' || wrong === 'rejects') {
      expect(reported).toContainEqual([mine, `tls.${name}`]);
    }
    await server.close();
    expect(server.url).toBe(`wss://127.0.0.1:${port}`);
  });
});
