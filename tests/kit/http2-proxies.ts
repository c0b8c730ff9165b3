import type { DaemonOptions } from './daemon.ts';
import type { SelfSigned } from './self-signed.ts';

/** What a reverse proxy speaks to the server behind it. */
export interface Http2Backend {
  readonly http2: boolean;
  readonly secure: boolean;
}

/**
 * Reverse proxies with TLS and HTTP/2 for their clients: the command, and its configuration with the
 * server on `port` of 127.0.0.1 behind it. Without `http2` they speak HTTP/1.1 to the server.
 */
export const HTTP2_PROXIES: Readonly<
  Record<
    string,
    (backend: Http2Backend, port: number, pems: SelfSigned) => Omit<DaemonOptions, 'command'>
  >
> = {
  haproxy: (backend, port, { key, cert }) => ({
    args: () => ['-db', '-f', 'haproxy.cfg'],
    files: ({ folder, port: front }) => ({
      'both.pem': `${cert}\n${key}`,
      'haproxy.cfg': `
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
frontend in
  bind 127.0.0.1:${front} ssl crt ${folder}/both.pem alpn h2
  default_backend app
backend app
  server one 127.0.0.1:${port} ${haproxyServer(backend)}
`,
    }),
  }),
  nghttpx: ({ http2, secure }, port, { key, cert }) => ({
    args: ({ port: front }) => [
      '--single-process',
      '--conf=/dev/null',
      '--insecure',
      '--npn-list=h2',
      `--frontend=127.0.0.1,${front}`,
      `--backend=127.0.0.1,${port};;proto=${http2 ? 'h2' : 'http/1.1'}${secure ? ';tls' : ''}`,
      'key.pem',
      'cert.pem',
    ],
    files: () => ({ 'key.pem': key, 'cert.pem': cert }),
  }),
};

function haproxyServer({ http2, secure }: Http2Backend): string {
  if (!secure) return http2 ? 'proto h2' : '';
  return `ssl verify none alpn ${http2 ? 'h2' : 'http/1.1'}`;
}
