// haproxy with HTTP/1.1 and HTTP/2 in front, and HTTP/2 to the server.
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { lacksDaemon, startDaemon } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';

const config = (front: number, backend: string): string => `
defaults
  mode http
  option forwardfor
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend front
  bind 127.0.0.1:${front}
  default_backend servers
backend servers
  server one 127.0.0.1:${backend} proto h2
`;

describe.skipIf(lacksDaemon('haproxy'))('serve with http2 behind haproxy', () => {
  it.each([
    { client: 'HTTP/1.1', http2: false, status: 101 },
    { client: 'HTTP/2', http2: 'only', status: 200 },
  ] as const)(
    'gets the WebSockets of a client with $client as streams',
    async ({ http2, status }) => {
      const server = await serve(
        { host: '127.0.0.1', http2: 'clear', compression: true, trustProxy: 1 },
        async (conn, req, { address }) => {
          await conn.send(`${req.httpVersion} from ${address}`);
          await conn.receive((message) => conn.send(message));
        },
      );
      onTestFinished(() => void server.close({ timeout: 1_000 }));
      const backend = new URL(server.url).port;
      const haproxy = await startDaemon({
        command: 'haproxy',
        args: ({ folder }) => ['-db', '-f', `${folder}/haproxy.cfg`],
        files: ({ port }) => ({ 'haproxy.cfg': config(port, backend) }),
      });
      onTestFinished(() => haproxy.close());
      const conn = await dial(`ws://127.0.0.1:${haproxy.port}/`, { http2, compression: true });
      expect(conn.response.status).toBe(status);
      expect((await conn.readMessage()).text()).toBe('2.0 from 127.0.0.1');
      await conn.send('hello');
      expect((await conn.readMessage()).text()).toBe('hello');
      expect(await conn.close(1000)).toMatchObject({ code: 1000, wasClean: true });
    },
  );
});
