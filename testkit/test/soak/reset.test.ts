import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { reset } from '../../src/soak/reset.ts';

const MUCH = Buffer.alloc(8 * 1024 * 1024);

describe('a reset', () => {
  let server: Server;
  let client: Socket;
  let accepted: Socket;
  let closed: Promise<unknown>;

  beforeEach(async () => {
    server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connection = once(server, 'connection') as Promise<[Socket]>;
    client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    [accepted] = await connection;
    await once(client, 'ready');
    client.on('error', () => {});
    closed = once(client, 'close');
  });

  afterEach(() => {
    accepted.destroy();
    server.close();
  });

  /** What the peer hears. */
  async function heard(): Promise<string> {
    const over = new Promise<string>((resolve) => {
      accepted.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code!));
      accepted.once('end', () => resolve('FIN'));
    });
    accepted.resume();
    return over;
  }

  it('is a RST', async () => {
    reset(client);
    await closed;
    expect(await heard()).toBe('ECONNRESET');
  });

  it('does not wait for a peer that reads nothing', async () => {
    client.write(MUCH);
    reset(client);
    await closed;
  });

  it.each([[false], [true]])(
    'closes when a FIN is on its way (destroyed once more: %j)',
    async (twice) => {
      client.end();
      reset(client);
      if (twice) client.destroy();
      await closed;
    },
  );

  it('closes when a FIN waits behind what the peer does not read', async () => {
    client.end(MUCH);
    reset(client);
    await closed;
  });

  it('closes when the FIN has gone', async () => {
    client.end();
    await once(client, 'finish');
    reset(client);
    await closed;
  });

  it('closes what has closed', async () => {
    client.destroy();
    await closed;
    reset(client);
    expect(client.closed).toBe(true);
  });
});
