import type { Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { BadHandshakeError, Dialer, TimeoutError, TransportError } from '../../src/index.ts';
import { inVain, stopTime } from '../leftovers.ts';
import { dialsTo, grants, socksServer } from '../proxies.ts';
import { certificate, greeted, greets, rawServer, rawTlsServer } from '../servers.ts';

const NO_AUTH = '05 00';
const AUTH = '05 02';
const AUTH_OK = '01 00';
const hex = (text: string): string => Buffer.from(text).toString('hex');

describe('a dial through a SOCKS 5 proxy', () => {
  it.each<[url: string, request: string]>([
    ['ws://example.org/', `03 0b ${hex('example.org')} 0050`],
    ['ws://EXAMPLE.org:8080/', `03 0b ${hex('example.org')} 1f90`],
    ['ws://localhost/', `03 09 ${hex('localhost')} 0050`],
    ['ws://10.0.0.255/', '01 0a0000ff 0050'],
    ['ws://[2001:db8::1]:65535/', '04 20010db8000000000000000000000001 ffff'],
    ['ws://[::]/', '04 00000000000000000000000000000000 0050'],
    ['ws://[::ffff:10.0.0.1]/', '04 00000000000000000000ffff0a000001 0050'],
    ['ws://[1:2:3:4:5:6:7:8]/', '04 00010002000300040005000600070008 0050'],
    ['ws://[fe80::]/', '04 fe800000000000000000000000000000 0050'],
    ['ws://bücher.example/', `03 15 ${hex('xn--bcher-kva.example')} 0050`],
  ])('asks for %s, and leaves names to the proxy', async (url, request) => {
    const server = await rawServer(greets);
    for (const scheme of ['socks5', 'socks5h', 'socks']) {
      const via = await socksServer([NO_AUTH, grants(server.port)]);
      const proxy = new URL(`${scheme}://127.0.0.1:${via.port}`);
      await greeted(new Dialer({ proxy }), url);
      expect(via.heard).toEqual(['050100', `050100${request.replaceAll(' ', '')}`]);
      await via.gone();
    }
    await server.gone();
  });

  it('runs TLS over it for wss', async () => {
    const { cert: ca } = await certificate();
    const server = await rawTlsServer(greets);
    const via = await socksServer([NO_AUTH, grants(server.port)]);
    await greeted(new Dialer({ proxy: via.proxy, tls: { ca } }), 'wss://localhost/');
    await Promise.all([via.gone(), server.gone()]);
  });

  it.each<[string, user: string, password: string]>([
    ['me:secret@', 'me', 'secret'],
    ['m%C3%A9:p%3A%40%25@', 'mé', 'p:@%'],
    ['a%3Ab:x@', 'a:b', 'x'],
    ['me@', 'me', ''],
    [`${'u'.repeat(255)}:${'p'.repeat(255)}@`, 'u'.repeat(255), 'p'.repeat(255)],
  ])(
    'sends the credentials %.30s when the proxy asks for them',
    async (userInfo, user, password) => {
      const server = await rawServer(greets);
      const via = await socksServer([AUTH, AUTH_OK, grants(server.port)], userInfo);
      await greeted(new Dialer({ proxy: via.proxy }), 'ws://example.org/');
      const counted = (text: string) =>
        Buffer.concat([Buffer.of(Buffer.byteLength(text)), Buffer.from(text)]).toString('hex');
      expect(via.heard.slice(0, 2)).toEqual(['05020002', `01${counted(user)}${counted(password)}`]);
    },
  );

  it('does not send credentials that the proxy does not ask for', async () => {
    const server = await rawServer(greets);
    const via = await socksServer([NO_AUTH, grants(server.port)], 'me:hush@');
    await greeted(new Dialer({ proxy: via.proxy }), 'ws://example.org/');
    expect(via.heard.join()).not.toContain(hex('hush'));
  });

  it.each([
    ['IPv4', '05 00 00 01 7f000001 0050'],
    ['IPv6', '05 00 00 04 00000000000000000000000000000001 0050'],
    ['a name', `05 00 00 03 09 ${hex('localhost')} 0050`],
    ['an empty name', '05 00 00 03 00 0050'],
    ['a reserved byte that is set', '05 00 ff 01 00000000 0000'],
  ])('takes an answer with %s', async (_, answer) => {
    const server = await rawServer(greets);
    const via = await socksServer([NO_AUTH, grants(server.port, answer)]);
    await greeted(new Dialer({ proxy: via.proxy }), 'ws://example.org/');
  });

  it('takes answers that come byte by byte', async () => {
    const server = await rawServer(greets);
    const slowly = (bytes: string, then: (socket: Socket) => void) => (socket: Socket) => {
      const left = [...Buffer.from(bytes.replaceAll(' ', ''), 'hex')];
      const more = (): void => {
        if (left.length === 0) then(socket);
        else socket.write(Buffer.of(left.shift()!), () => setImmediate(more));
      };
      more();
    };
    const via = await socksServer(
      [
        slowly(AUTH, () => {}),
        slowly(AUTH_OK, () => {}),
        slowly('05 00 00 03 02 4141 0050', (socket) => grants(server.port, '')(socket)),
      ],
      'me:secret@',
    );
    await greeted(new Dialer({ proxy: via.proxy }), 'ws://example.org/');
  });

  it.each<[string, readonly string[], userInfo?: string]>([
    ['after the last answer', [NO_AUTH, '05 00 00 01 00000000 0000']],
    ['after an answer with a name', [NO_AUTH, '05 00 00 03 02 4141 0000']],
    [
      'after an answer with an IPv6 address',
      [NO_AUTH, '05 00 00 04 00000000000000000000000000000001 0050'],
    ],
    ['with all answers at once', [`${NO_AUTH} 05 00 00 01 00000000 0000`]],
    [
      'with all answers at once, the one to the password too',
      [`${AUTH} ${AUTH_OK} 05 00 00 01 00000000 0000`],
      'me:secret@',
    ],
  ])('loses no byte of the server’s that comes %s', async (_, answers, userInfo) => {
    const early = hex('HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nearly');
    const all = answers.map((answer, i) => (i === answers.length - 1 ? answer + early : answer));
    const via = await socksServer(all, userInfo);
    const error = (await inVain('ws://h/', { proxy: via.proxy })) as BadHandshakeError;
    expect(error).toMatchObject({ code: 'WS_ERR_BAD_HANDSHAKE', status: 403 });
    expect(error.body.toString()).toBe('early');
    expect(await inVain('wss://h/', { proxy: via.proxy })).toMatchObject({
      message: /^websocket: TLS handshake with h:443 failed: wrong version number; /,
      cause: { code: 'ERR_SSL_WRONG_VERSION_NUMBER' },
    });
    await via.gone();
  });

  it('has port 1080 by default, and dials by netDial', async () => {
    const server = await rawServer(greets);
    const via = await socksServer([NO_AUTH, grants(server.port)]);
    const { asked, netDial } = dialsTo(via.port);
    const proxy = new URL('socks5://PROXY.example');
    await greeted(new Dialer({ proxy, netDial }), 'ws://example.org/');
    expect(asked).toEqual(['proxy.example:1080']);
  });

  it('refuses a name that SOCKS cannot carry, before it sends a byte', async () => {
    const via = await socksServer([NO_AUTH]);
    const error = await inVain(`ws://${'a'.repeat(256)}/`, { proxy: via.proxy });
    expect(error).toMatchObject({
      message: 'websocket: a SOCKS proxy accepts no host name of more than 255 bytes',
    });
    expect(via.heard).toEqual([]);
  });

  it.each([
    ['user', `${'u'.repeat(256)}:p@`],
    ['password', `u:${'p'.repeat(256)}@`],
    ['user in UTF-8', `${'%C3%A9'.repeat(128)}:p@`],
  ])('refuses a %s of more than 255 bytes at once', (_, userInfo) => {
    expect(() => new Dialer({ proxy: new URL(`socks5://${userInfo}h`) })).toThrow(
      new SyntaxError('proxy: its user or password is longer than 255 bytes'),
    );
  });
});

describe('a SOCKS 5 proxy that', () => {
  const ends = (socket: Socket): void => void socket.end();
  const resets = (socket: Socket): void => void socket.resetAndDestroy();
  const endless = (bytes: string) => (socket: Socket) => {
    const again = Buffer.from(bytes.replaceAll(' ', '').repeat(1000), 'hex');
    const more = (): void => {
      if (!socket.destroyed) socket.write(again, () => setImmediate(more));
    };
    more();
  };
  const half = (bytes: string) => (socket: Socket) =>
    void socket.end(Buffer.from(bytes.replaceAll(' ', ''), 'hex'));

  it.each<
    [
      says: string,
      answers: (string | ((s: Socket) => void))[],
      status: number,
      why: string,
      userInfo?: string,
    ]
  >([
    ['fails', [NO_AUTH, '05 01'], 502, 'refused h:80: general SOCKS server failure (reply 1)'],
    [
      'does not allow it',
      [NO_AUTH, '05 02'],
      403,
      'refused h:80: connection not allowed by ruleset (reply 2)',
    ],
    ['has no network', [NO_AUTH, '05 03'], 502, 'refused h:80: network unreachable (reply 3)'],
    ['has no host', [NO_AUTH, '05 04'], 502, 'refused h:80: host unreachable (reply 4)'],
    ['is refused', [NO_AUTH, '05 05'], 502, 'refused h:80: connection refused (reply 5)'],
    ['is too far', [NO_AUTH, '05 06'], 502, 'refused h:80: TTL expired (reply 6)'],
    ['knows no CONNECT', [NO_AUTH, '05 07'], 403, 'refused h:80: command not supported (reply 7)'],
    [
      'knows no names',
      [NO_AUTH, '05 08'],
      403,
      'refused h:80: address type not supported (reply 8)',
    ],
    [
      'has another reason',
      [NO_AUTH, '05 09'],
      502,
      'refused h:80: for an unknown reason (reply 9)',
    ],
    [
      'has a far other reason',
      [NO_AUTH, '05 ff'],
      502,
      'refused h:80: for an unknown reason (reply 255)',
    ],
    ['wants credentials', ['05 ff'], 407, 'requires a user and a password'],
    ['takes none of ours', ['05 ff'], 407, 'accepts no user and password', 'me:hush@'],
    [
      'wants credentials unasked',
      ['05 02'],
      407,
      'chose a way to authenticate that was not offered',
    ],
    [
      'wants credentials unasked, and would take any',
      [AUTH, AUTH_OK, '05 00 00 01 00000000 0000'],
      407,
      'chose a way to authenticate that was not offered',
    ],
    [
      'wants GSSAPI',
      ['05 01'],
      407,
      'chose a way to authenticate that was not offered',
      'me:hush@',
    ],
    ['refuses the password', [AUTH, '01 01'], 407, 'refused the user and password', 'me:hush@'],
    ['refuses it otherwise', [AUTH, '01 ff'], 407, 'refused the user and password', 'me:hush@'],
    [
      'answers it with version 5',
      [AUTH, '05 00'],
      0,
      'sent a malformed reply to the user and password',
      'me:hush@',
    ],
    [
      'talks without end',
      [endless('05 07')],
      407,
      'chose a way to authenticate that was not offered',
    ],
    ['grants without end', [endless('05 00')], 0, 'answered with an address of unknown type'],
    ['is SOCKS 4', ['00 5a'], 0, 'is not a SOCKS 5 proxy'],
    ['is HTTP', [hex('HTTP/1.1 400 Bad Request\r\n\r\n')], 0, 'is not a SOCKS 5 proxy'],
    [
      'answers with version 4',
      [NO_AUTH, '04 00 00 01 00000000 0000'],
      0,
      'sent a malformed reply to the request',
    ],
    [
      'has an address of type 0',
      [NO_AUTH, '05 00 00 00 00000000 0000'],
      0,
      'answered with an address of unknown type',
    ],
    [
      'has an address of type 9',
      [NO_AUTH, '05 00 00 09 00000000 0000'],
      0,
      'answered with an address of unknown type',
    ],
  ])('%s fails the dial, and it says so', async (_, answers, status, why, userInfo = '') => {
    const padded = answers.map((answer) =>
      typeof answer === 'string' && /^05 (0[1-9]|ff)$/.test(answer) && answers.indexOf(answer) === 1
        ? `${answer} 00 01 00000000 0000`
        : answer,
    );
    const via = await socksServer(padded, userInfo);
    const error = (await inVain('ws://h/', { proxy: via.proxy })) as Error;
    expect(error).toBeInstanceOf(BadHandshakeError);
    expect(error).toMatchObject({ status, headers: {}, body: Buffer.alloc(0) });
    expect(error.message).toBe(
      `websocket: bad handshake: the SOCKS proxy 127.0.0.1:${via.port} ${why}`,
    );
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('hush');
    await via.gone();
  });

  it.each<[says: string, answers: (string | ((s: Socket) => void))[], userInfo?: string]>([
    ['ends at once', [ends]],
    ['ends in its first answer', [half('05')]],
    ['ends before it takes the password', [AUTH, ends], 'me:hush@'],
    ['ends in its answer to the password', [AUTH, half('01')], 'me:hush@'],
    ['ends before it answers the request', [NO_AUTH, ends]],
    ['ends in its answer to the request', [NO_AUTH, half('05 00 00')]],
    ['ends before the address', [NO_AUTH, half('05 00 00 01')]],
    ['ends in an IPv4 address', [NO_AUTH, half('05 00 00 01 7f0000')]],
    ['ends in an IPv6 address', [NO_AUTH, half('05 00 00 04 7f0000')]],
    ['ends before the length of a name', [NO_AUTH, half('05 00 00 03')]],
    ['ends in a name', [NO_AUTH, half('05 00 00 03 ff 4141')]],
    ['ends in the port', [NO_AUTH, half('05 00 00 01 7f000001 00')]],
    ['is reset at once', [resets]],
    ['is reset before it answers the request', [NO_AUTH, resets]],
  ])('%s is a TransportError', async (_, answers, userInfo) => {
    const via = await socksServer(answers, userInfo);
    for (const url of ['ws://h/', 'wss://h/']) {
      const error = await inVain(url, { proxy: via.proxy });
      expect(error).toBeInstanceOf(TransportError);
      expect((error as Error).message).toMatch(
        `websocket: the connection broke before the proxy 127.0.0.1:${via.port} answered`,
      );
    }
    await via.gone();
  });

  it.each<[says: string, answers: string[], userInfo?: string]>([
    ['at once', ['']],
    ['in its first answer', ['05']],
    ['before it takes the password', [AUTH, ''], 'me:hush@'],
    ['before it answers the request', [NO_AUTH, '']],
    ['in its answer to the request', [NO_AUTH, '05 00']],
    ['in a name', [NO_AUTH, '05 00 00 03 ff 4141']],
  ])('falls silent %s ends at the timeout', async (_, answers, userInfo) => {
    stopTime();
    const last = Buffer.from(answers.at(-1)!.replaceAll(' ', ''), 'hex');
    const falls = (socket: Socket): void => {
      socket.write(last);
      vi.advanceTimersByTime(40);
    };
    const via = await socksServer([...answers.slice(0, -1), falls], userInfo);
    const error = await inVain('ws://h/', { proxy: via.proxy, handshakeTimeout: 40 });
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({
      message: `websocket: handshake with h:80 timed out after 40 ms (option handshakeTimeout) while waiting for the proxy 127.0.0.1:${via.port}`,
    });
    await via.gone();
  });

  it('opens the tunnel and ends it is a TransportError', async () => {
    const via = await socksServer([NO_AUTH, half('05 00 00 01 7f000001 0050')]);
    expect(await inVain('ws://h/', { proxy: via.proxy })).toBeInstanceOf(TransportError);
    expect(await inVain('wss://h/', { proxy: via.proxy })).toBeInstanceOf(TransportError);
    await via.gone();
  });
});
