// Failures that another dial does not heal end the iteration.
import { connect } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { CertificateAuthority } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type DialerOptions, TransportError } from '../../src/index.ts';
import { certificate, type RawServer, rawTlsServer, says } from '../servers.ts';
import { answers, drops, iterate } from './iterating.ts';

const accepts = says((request) => request.ok());
const mine = new Error('mine');

/** Expects that the first failure ends the iteration, and returns its cause. */
async function endsAtOnce(url: string, options: DialerOptions): Promise<unknown> {
  let failures = 0;
  const iterator = iterate(url, { ...options, retry: () => void failures++ });
  const error = await iterator.next().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TransportError);
  expect(failures).toBe(1);
  return (error as TransportError).cause;
}

/** Dials until the third failure. Returns the delay after each. */
async function retried(url: string, options: DialerOptions): Promise<number[]> {
  const delays: number[] = [];
  const iterator = iterate(url, {
    ...options,
    retry: (_, { delay }) => {
      delays.push(delay);
      return delays.length === 3 ? false : undefined;
    },
  });
  await expect(iterator.next()).rejects.toBeInstanceOf(TransportError);
  return delays;
}

describe('reconnecting ends with', () => {
  it('the error of an untrusted certificate', async () => {
    const server = await rawTlsServer(accepts);
    const cause = await endsAtOnce(server.url, {});
    expect(cause).toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect(server.sockets).toHaveLength(1);
  });

  it('the error of a certificate for another name, over a stream of netDial too', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(accepts);
    const netDial = () => connect(server.port, '127.0.0.1');
    const cause = await endsAtOnce('wss://other.example/', { netDial, tls: { ca } });
    expect(cause).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it.each<[string, () => Error]>([
    ['returned', () => mine],
    [
      'thrown',
      () => {
        throw mine;
      },
    ],
  ])('the error that checkServerIdentity has %s', async (_, checkServerIdentity) => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(accepts);
    expect(await endsAtOnce(server.url, { tls: { ca, checkServerIdentity } })).toBe(mine);
    expect(server.sockets).toHaveLength(1);
  });

  it('the error of pskCallback', async () => {
    const server = await rawTlsServer(accepts, { ciphers: 'PSK:DEFAULT', pskCallback: () => null });
    const tls: ConnectionOptions = {
      ciphers: 'PSK',
      maxVersion: 'TLSv1.2',
      pskCallback: () => {
        throw mine;
      },
    };
    expect(await endsAtOnce(server.url, { tls })).toBe(mine);
  });

  it.each([new ReferenceError('x'), new SyntaxError('x'), new TypeError('x')])(
    'a %s of netDial',
    async (error) => {
      const netDial = (): never => {
        throw error;
      };
      expect(await endsAtOnce('ws://h/', { netDial })).toBe(error);
      const netDialTLS = async (): Promise<never> => netDial();
      expect(await endsAtOnce('wss://h/', { netDialTLS })).toBe(error);
    },
  );

  it('the error of a lookup that finds nonsense', async () => {
    const lookup: ConnectionOptions['lookup'] = (_name, _options, done) => done(null, 'nowhere', 4);
    expect(await endsAtOnce('wss://h.example/', { tls: { lookup } })).toBeInstanceOf(TypeError);
  });
});

describe('reconnecting dials again after', () => {
  it.each<[string, Error]>([
    ['an error of the system', Object.assign(new Error('x'), { code: 'EHOSTUNREACH' })],
    ['any other Error', new Error('the tunnel is down')],
    ['a failed fetch', new TypeError('fetch failed', { cause: new Error('ECONNRESET') })],
    ['a TransportError of another dial', new TransportError('x', { cause: new Error('y') })],
  ])('%s of netDial', async (_, error) => {
    const netDial = () => Promise.reject(error);
    expect(await retried('ws://h/', { netDial })).toHaveLength(3);
  });

  it('a server that drops', async () => {
    const server = await answers(drops);
    expect(await retried(server.url, {})).toHaveLength(3);
  });

  it.each<[string, [from: number, to: number]]>([
    ['has expired', [-9, -1]],
    ['is not valid yet', [1, 9]],
  ])('a certificate that %s, at maxDelay each time', async (_, days) => {
    const authority = await CertificateAuthority.make('ours');
    const issued = await authority.issue({ addresses: ['127.0.0.1'], names: ['h'], days });
    const server: RawServer = await rawTlsServer(accepts, issued);
    onTestFinished(() => void server.gone());
    expect(await retried(server.url, { tls: { ca: authority.cert } })).toEqual([4, 4, 4]);
  });
});
