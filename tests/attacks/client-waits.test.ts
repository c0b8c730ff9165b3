import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type DialAddress, Dialer, type DialerOptions, TimeoutError } from '@ws/node-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { turn } from '../../src/fake-host.ts';
import { survives } from '../../src/hostile/index.ts';
import { Answerer, type Asked, asked, elapsed } from './answering.ts';
import { warm } from './warm.ts';

const silent = (): void => {};
const forever = (): Promise<never> => new Promise(silent);

/** A socket whose name is never looked up. */
const lookup = (address: DialAddress): Duplex => connect({ ...address, lookup: silent });

/** The handles of this process that a dial could leave. */
function handles(): string[] {
  const kinds = /TCP|TLS|GetAddrInfo|Connect|Shutdown|Write/;
  return process.getActiveResourcesInfo().filter((name) => kinds.test(name));
}

describe('a dial to what does not answer', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  /** How many milliseconds a dial lasts that comes to nothing. */
  async function lasts(url: string, options: DialerOptions, each?: () => void): Promise<number> {
    const dialed = new Dialer(options).dial(url);
    const ms = await elapsed(dialed, each);
    await expect(dialed).rejects.toBeInstanceOf(TimeoutError);
    return ms;
  }

  it('is given up in time, at each stage', async () => {
    const jar = { getCookieString: forever, setCookie: silent };
    const stages: readonly (readonly [url: string, options: DialerOptions])[] = [
      ['ws://h/', { netDial: lookup }],
      ['wss://h/', { netDial: undefined, tls: { lookup: silent } }],
      ['ws://h/', { netDial: forever }],
      ['ws://h/', { jar }],
      ['ws://h/', { proxy: forever }],
      ['ws://h/', {}],
      ['wss://h/', {}],
      ['ws://h/', { proxy: new URL('http://proxy') }],
      ['wss://h/', { proxy: new URL('https://proxy') }],
      ['ws://h/', { proxy: new URL('socks5://proxy') }],
    ];
    const attack = await warm(async () => {
      let left = 0;
      const times: number[] = [];
      for (const [url, options] of stages) {
        const server = new Answerer(silent);
        times.push(await lasts(url, { netDial: server.netDial, ...options }));
        left += server.left;
      }
      return { ms: Math.max(...times), left };
    }, 15);
    await survives(40, attack);
  });

  it('is given up in time when the answer dribbles, a proxy’s too', async () => {
    const dribbles: readonly (readonly [DialerOptions, (request: Asked) => string])[] = [
      [{}, ({ ok }) => ok(`X: ${'a'.repeat(200)}\r\n`)],
      [{}, () => 'HTTP/1.1 103 H\r\n\r\n'.repeat(9)],
      [{}, () => `HTTP/1.1 101 S\r\nX:${' '.repeat(200)}`],
      [
        { proxy: new URL('http://proxy:3128') },
        () => `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(200)}\r\n\r\n`,
      ],
    ];
    await survives(40, async () => {
      let left = 0;
      const times: number[] = [];
      for (const [options, bytes] of dribbles) {
        let more = silent;
        const server = new Answerer((end, request) => {
          const text = bytes(request);
          let at = 0;
          more = () => void end.write(text.charAt(at++) || ' ');
        });
        times.push(await lasts('ws://h/', { netDial: server.netDial, ...options }, () => more()));
        left += server.left;
      }
      return { ms: Math.max(...times), left };
    });
  });
});

describe('a dial that is aborted', () => {
  const reason = new Error('enough');

  /** Dials, aborts when `until` says so, and tells whether the reason came out. */
  async function aborted(
    url: string,
    options: DialerOptions,
    until: (abort: () => void) => void,
  ): Promise<boolean> {
    const controller = new AbortController();
    const dialed = new Dialer(options).dial(url, { signal: controller.signal });
    until(() => controller.abort(reason));
    return dialed.then(
      () => false,
      (error: unknown) => error === reason,
    );
  }

  it('leaves nothing behind, in whatever phase', async () => {
    await survives(52, async () => {
      const base = handles();
      const sockets: Socket[] = [];
      let heard: (socket: Socket, text: string) => void = silent;
      const server = createServer((socket) => {
        sockets.push(socket.on('error', silent));
        socket.on('data', (chunk) => heard(socket, chunk.toString('latin1')));
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const own = handles().length;
      const at = `127.0.0.1:${port}`;
      const whenHeard = (abort: () => void): void => {
        heard = abort;
      };

      const phases = [
        await aborted(`ws://${at}/`, {}, (abort) => abort()),
        // The lookup is under way once `dial` has returned to the event loop's phase of microtasks.
        await aborted(`ws://localhost:${port}/`, {}, (abort) => queueMicrotask(abort)),
        await aborted(`ws://${at}/`, {}, (abort) => process.nextTick(abort)),
        await aborted(`wss://${at}/`, {}, whenHeard),
        await aborted('ws://h/', { proxy: new URL(`http://${at}`) }, whenHeard),
        await aborted(`ws://${at}/`, {}, whenHeard),
        await aborted(`ws://${at}/`, {}, (abort) => {
          heard = (socket) =>
            void socket.write('HTTP/1.1 101 S\r\nUpgr', () => setImmediate(abort));
        }),
        await aborted(
          `ws://${at}/`,
          { jar: { getCookieString: () => '', setCookie: forever } },
          (abort) => {
            heard = (socket, text) => {
              socket.write(asked(text).ok('Set-Cookie: a=b\r\n'), () => setImmediate(abort));
            };
          },
        ),
      ];
      // Each of the server's sockets ends with the client's.
      for (const socket of sockets) {
        if (!socket.closed) await new Promise((resolve) => void socket.once('close', resolve));
      }
      for (let i = 0; i < 2_000 && handles().length > own; i++) await turn();
      server.close();
      await once(server, 'close');
      for (let i = 0; i < 2_000 && handles().length > base.length; i++) await turn();
      const right = phases.filter((rejected) => rejected).length;
      const left = handles().length - base.length;
      return { phases: right, opened: phases.length - right, handles: left };
    });
  });
});
