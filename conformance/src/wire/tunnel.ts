import { isIP, type Socket } from 'node:net';
import { Unreachable } from '../model/verdicts.ts';

/** Maximum size of a proxy's answer, in bytes. */
const MAX_ANSWER = 16 * 1024;

/**
 * Asks the HTTP proxy at the other end of `tcp` for a tunnel (RFC 9110, 9.3.6). The socket is paused
 * afterwards.
 *
 * @param proxy - Its user and password, if any, become `Proxy-Authorization`.
 * @param target - Where the tunnel ends.
 * @param timeout - In ms.
 * @throws (rejects with) {@link Unreachable} when the proxy opens no tunnel.
 */
export async function openTunnel(
  tcp: Socket,
  proxy: URL,
  { host, port }: { readonly host: string; readonly port: number },
  timeout: number,
): Promise<void> {
  const to = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const user = [proxy.username, proxy.password].map(decodeURIComponent).join(':');
  const credentials = Buffer.from(user).toString('base64');
  const fields = user === ':' ? [] : [`Proxy-Authorization: Basic ${credentials}`];
  tcp.write([`CONNECT ${to} HTTP/1.1`, `Host: ${to}`, ...fields, '', ''].join('\r\n'));
  const start = await firstLine(tcp, timeout);
  if (!/^HTTP\/1\.\d 2\d\d(?: |$)/.test(start)) {
    throw new Unreachable(`the proxy answered CONNECT ${to} with ${JSON.stringify(start)}`);
  }
}

const TIMED_OUT = true;

/** Reads the header of the answer; later bytes stay in the socket. @returns Its first line. */
function firstLine(tcp: Socket, timeout: number): Promise<string> {
  return new Promise((done, fail) => {
    let bytes = Buffer.alloc(0);
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      tcp.pause();
      tcp.off('data', onData).off('end', onEnd).off('close', onEnd);
      settle();
    };
    const give = (text: string, timedOut = false): void =>
      finish(() => fail(new Unreachable(text, timedOut)));
    const onEnd = (): void => give('the proxy ended the connection without an answer to CONNECT');
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf('\r\n\r\n');
      if (end === -1 && bytes.length < MAX_ANSWER) return;
      if (end === -1) return give(`the proxy's answer to CONNECT is longer than 16 KiB`);
      const [start = ''] = bytes.subarray(0, end).toString('latin1').split('\r\n');
      finish(() => {
        if (bytes.length > end + 4) tcp.unshift(bytes.subarray(end + 4));
        done(start);
      });
    };
    const timer = setTimeout(() => {
      // The answer to a late process may be in the queue of the next turn.
      setImmediate(() => give(`the proxy did not answer CONNECT within ${timeout} ms`, TIMED_OUT));
    }, timeout);
    tcp.on('data', onData).on('end', onEnd).on('close', onEnd);
  });
}
