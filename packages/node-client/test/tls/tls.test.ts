import { describe, expect, it } from 'vitest';
import { Dialer, dial } from '../../src/index.ts';
import { inVain } from '../leftovers.ts';
import { certificate, greets, rawTlsServer } from '../servers.ts';

const plain = { netDial: undefined };

describe('a dial over TLS', () => {
  it('reads bytes that arrived with the 101', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const conn = await new Dialer({ tls: { ca } }).dial(`${server.url}/x`);
    const { response } = conn;
    const message = await conn.readMessage();
    expect(message.text()).toBe('hi');
    expect(response.status).toBe(101);
    expect(conn.remoteAddr).toBe(`127.0.0.1:${server.port}`);
    conn.terminate();
    await server.gone();
  });

  it.each(['wss', 'https'])('is what %s: asks for', async (scheme) => {
    const { cert: ca } = await certificate();
    const requests: string[] = [];
    const server = await rawTlsServer((socket, request) => {
      requests.push(request.text);
      socket.write(request.ok());
    });
    const conn = await new Dialer({ tls: { ca } }).dial(`${scheme}://localhost:${server.port}/`);
    conn.terminate();
    expect(requests[0]).toContain(`\r\nHost: localhost:${server.port}\r\n`);
  });

  it('refuses a self-signed certificate', async () => {
    const server = await rawTlsServer(greets);
    await expect(dial(server.url)).rejects.toMatchObject({
      message: `websocket: TLS handshake with 127.0.0.1:${server.port} failed: the certificate is self-signed; trust it with tls: { ca }`,
      code: 'WS_ERR_TRANSPORT',
      cause: { code: /SELF_SIGNED/ },
    });
    expect(await inVain(server.url, plain)).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    expect(await inVain(server.url)).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    await server.gone();
  });

  it('refuses a certificate for another name', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const error = await inVain(`wss://127.0.0.2:${server.port}/`, { ...plain, tls: { ca } });
    expect(error).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    const named = await inVain(server.url, { ...plain, tls: { ca, servername: 'example.org' } });
    expect(named).toMatchObject({ cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } });
  });

  it('accepts it when the caller trusts it', async () => {
    const server = await rawTlsServer(greets);
    const conn = await new Dialer({ tls: { rejectUnauthorized: false } }).dial(server.url);
    conn.terminate();
  });

  it('sends the name of the URL to the server, not that of the Host header', async () => {
    const { cert: ca } = await certificate();
    const names: unknown[] = [];
    const server = await rawTlsServer((socket, request) => {
      names.push((socket as unknown as { servername: unknown }).servername);
      socket.write(request.ok());
    });
    const headers = { Host: 'example.org' };
    const conn = await new Dialer({ tls: { ca } }).dial(`wss://localhost:${server.port}/`, {
      headers,
    });
    conn.terminate();
    expect(names).toEqual(['localhost']);
  });

  it('requests HTTP/1.1 by ALPN', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const conn = await new Dialer({ tls: { ca } }).dial(server.url);
    expect(conn.underlyingConn).toMatchObject({ alpnProtocol: 'http/1.1', encrypted: true });
    conn.terminate();
  });

  it('connects to the address of the URL, for any TLS options', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const conn = await new Dialer({ tls: { ca, host: 'nowhere.invalid', port: 1 } }).dial(
      server.url,
    );
    conn.terminate();
  });

  it('fails without TLS at a server with TLS', async () => {
    const server = await rawTlsServer(greets);
    const error = await inVain(server.url.replace('wss', 'ws'));
    expect(error).toMatchObject({ name: /BadHandshakeError|TransportError/ });
  });
});
