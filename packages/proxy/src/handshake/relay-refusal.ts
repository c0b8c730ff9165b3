import type { Duplex } from 'node:stream';
import { ResponseBody } from '@ws/node-client/internal';
import { endAnsweredSocket, responseHead } from '@ws/node-server/internal';
import type { Answer } from './exchange.ts';
import type { HeaderLine } from './header-lines.ts';

/** Most bytes of a refusal's body that pass to the client. */
const MAX_BODY = 1024 * 1024;

/**
 * Passes a target's refusal to the client: status, headers and at most 1 MiB of the body. Both
 * sockets end then, so that no tunnel is left. The client can see that a body is not whole: it has
 * fewer bytes than its Content-Length, or no last chunk. A client that still sends after the last byte
 * was written has 2 s to read, as after every refusal.
 *
 * @param timeout - Milliseconds for the whole body of the target, and then for the client to take
 *   some bytes; Infinity for no bound.
 * @returns A promise that resolves when the answer was written.
 */
export function relayRefusal(
  client: Duplex,
  { stream, head, rest }: Answer,
  lines: readonly HeaderLine[],
  timeout: number,
): Promise<void> {
  return new Promise((resolve) => {
    const body = new ResponseBody(head, MAX_BODY, (bytes) => {
      if (chunked) client.write(`${bytes.length.toString(16)}\r\n`);
      // A client that does not read stops the target.
      if (!client.write(bytes)) stream.pause();
      if (chunked) client.write('\r\n');
    });
    const { length } = body;
    const chunked = length === undefined && !body.ended;
    // RFC 9110, section 15.5.22: a 426 names the protocol.
    const is426 = head.status === 426;
    const own: HeaderLine[] = [['Connection', is426 ? 'close, Upgrade' : 'close']];
    if (is426) own.push(['Upgrade', 'websocket'], ['Sec-WebSocket-Version', '13']);
    if (chunked) own.push(['Transfer-Encoding', 'chunked']);
    if (length !== undefined) own.push(['Content-Length', `${length}`]);
    const timer = timeout === Infinity ? undefined : setTimeout(() => finish(), timeout);
    const onDrain = (): unknown => stream.resume();
    const finish = (): void => {
      clearTimeout(timer);
      client.off('drain', onDrain).off('close', finish);
      stream.off('data', onData).off('close', finish).off('end', finish);
      stream.destroy();
      if (stream.readableEnded) body.end();
      if (chunked && body.whole) client.write('0\r\n\r\n');
      client.end();
      endAnsweredSocket(client, undefined, timeout);
      resolve();
    };
    const onData = (bytes: Uint8Array): void => {
      body.push(bytes);
      if (body.ended) finish();
    };
    client.write(responseHead(head.status, [...own, ...lines]), 'latin1');
    client.on('drain', onDrain).on('close', finish);
    if (!body.ended && rest.length > 0) body.push(rest);
    if (body.ended || stream.destroyed || stream.readableEnded) return finish();
    stream.on('data', onData).on('end', finish).on('close', finish).resume();
  });
}
