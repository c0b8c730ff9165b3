import { streamPair, transportContract } from '@ws/tests';
import { http2Transport } from '../../src/index.ts';

for (const [name, secure] of [
  ['a stream of HTTP/2', false],
  ['a stream of HTTP/2 over TLS', true],
] as const) {
  transportContract(`${name}, of the client,`, async () => {
    const { client, server, dispose } = await streamPair(secure);
    return { near: http2Transport(client), far: http2Transport(server), dispose };
  });
  transportContract(`${name}, of the server,`, async () => {
    const { client, server, dispose } = await streamPair(secure);
    return { near: http2Transport(server), far: http2Transport(client), dispose };
  });
}
