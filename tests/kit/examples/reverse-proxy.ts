import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, type DaemonOptions, startDaemon } from '../daemon.ts';
import { type SelfSigned, selfSigned } from '../self-signed.ts';

/** Proxies with a configuration in examples/reverse-proxied. */
export type ProxyName = 'haproxy' | 'nginx';

/** A running reverse proxy. */
export interface ReverseProxy {
  /** Host and port that redirect to https with 301. */
  readonly plainHost: string;
  /** Host and port without TLS, for tests only, for example `127.0.0.1:8080`. */
  readonly host: string;
  /** Host and port with TLS and the certificate of `selfSigned`. */
  readonly tlsHost: string;
  readonly daemon: Daemon;
  close(): Promise<void>;
}

const folder = join(import.meta.dirname, '../../../examples/reverse-proxied');

/** The frame of Debian's nginx.conf, for one process without privileges. */
const NGINX = `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr info;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  include app.conf;
}
`;

/**
 * Starts a reverse proxy with its configuration from examples/reverse-proxied. Only ports, certificate and silence timeout
 * change, and one port without TLS is added.
 *
 * @param port - Port of the server on 127.0.0.1.
 * @param silence - Silence timeout with its unit, for example `1s`. Default: `60s`, as in the configuration.
 */
export async function startReverseProxy(
  name: ProxyName,
  port: number,
  silence?: string,
): Promise<ReverseProxy> {
  const pems = await selfSigned();
  const make = name === 'nginx' ? nginx : haproxy;
  const daemon = await startDaemon({ ...make(pems, port, silence), command: name, ports: 3 });
  const [plain, tls, clear] = daemon.ports;
  return {
    plainHost: `127.0.0.1:${plain}`,
    host: `127.0.0.1:${clear}`,
    tlsHost: `127.0.0.1:${tls}`,
    daemon,
    close: () => daemon.close(),
  };
}

type Configured = Pick<DaemonOptions, 'args' | 'files'>;

function nginx({ key, cert }: SelfSigned, server: number, silence = '60s'): Configured {
  return {
    args: ({ folder: prefix }) => ['-p', prefix, '-e', 'stderr', '-c', 'nginx.conf'],
    files: ({ ports: [plain, tls, clear] }) => ({
      'nginx.conf': NGINX,
      'cert.pem': cert,
      'key.pem': key,
      'app.conf': changed('nginx.conf', {
        'listen 80;': `listen 127.0.0.1:${plain};`,
        'listen 443 ssl;': `listen 127.0.0.1:${tls} ssl; listen 127.0.0.1:${clear};`,
        'server 127.0.0.1:8080;': `server 127.0.0.1:${server};`,
        '/etc/ssl/example.org/cert.pem': 'cert.pem',
        '/etc/ssl/example.org/key.pem': 'key.pem',
        'proxy_read_timeout 60s;': `proxy_read_timeout ${silence};`,
      }),
    }),
  };
}

function haproxy({ key, cert }: SelfSigned, server: number, silence = '60s'): Configured {
  return {
    // One process in the foreground.
    args: () => ['-db', '-f', 'haproxy.cfg'],
    files: ({ folder: own, ports: [plain, tls, clear] }) => ({
      'both.pem': `${cert}\n${key}`,
      'haproxy.cfg': changed('haproxy.cfg', {
        'bind :80': `bind 127.0.0.1:${plain}`,
        'bind :443': `bind 127.0.0.1:${clear}\n  bind 127.0.0.1:${tls}`,
        'server app1 127.0.0.1:8080': `server app1 127.0.0.1:${server}`,
        '/etc/ssl/example.org/both.pem': `${own}/both.pem`,
        'timeout tunnel 60s': `timeout tunnel ${silence}`,
      }),
    }),
  };
}

/** @throws Error unless each text occurs exactly once in the file. */
function changed(file: string, changes: Readonly<Record<string, string>>): string {
  let text = readFileSync(join(folder, file), 'utf8');
  for (const [from, to] of Object.entries(changes)) {
    const parts = text.split(from);
    if (parts.length !== 2) throw new Error(`${file}: expected "${from}" once`);
    text = parts.join(to);
  }
  return text;
}
