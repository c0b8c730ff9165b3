import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type DialAddress, Dialer, type DialerOptions, TimeoutError } from '@ws/node-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { turn } from '../kit/fake-platform.ts';
import { listening } from '../kit/listening.ts';
import { atLeast, atMost, claim, survives } from './harness/index.ts';
import {
  HostileServer,
  msUntilSettled,
  type ReceivedRequest,
  receivedRequest,
} from './hostile-server.ts';

const silent = (): void => {};
const forever = (): Promise<never> => new Promise(silent);

/** Returns a socket whose name lookup never ends. */
const lookup = (address: DialAddress): Duplex => connect({ ...address, lookup: silent });

/** Returns the handles of this process that a dial could leave open. */
function handles(): string[] {
  const kinds = /TCP|TLS|GetAddrInfo|Connect|Shutdown|Write/;
  return process.getActiveResourcesInfo().filter((name) => kinds.test(name));
}

describe('a dial to a silent server', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  /** Dials without success. Returns the duration in ms. */
  async function lasts(url: string, options: DialerOptions, each?: () => void): Promise<number> {
    const dialed = new Dialer(options).dial(url);
    const ms = await msUntilSettled(dialed, each);
    await expect(dialed).rejects.toBeInstanceOf(TimeoutError);
    return ms;
  }

  it('fails after its timeout, at each stage', async () => {
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
    const attack = claim('a server that never answers, at each stage of a dial', 'CWE-400');
    const bound = { ms: atMost(45_000), left: 0, warmUps: 15, rounds: 40 };
    await survives(attack, bound, async () => {
      let left = 0;
      const times: number[] = [];
      for (const [url, options] of stages) {
        const server = new HostileServer(silent);
        times.push(await lasts(url, { netDial: server.netDial, ...options }));
        left += server.left;
      }
      return { ms: Math.max(...times), left };
    });
  });

  it('fails after its timeout, although the server or proxy sends a byte a second', async () => {
    const dribbles: readonly (readonly [DialerOptions, (request: ReceivedRequest) => string])[] = [
      [{}, ({ ok }) => ok(`X: ${'a'.repeat(200)}\r\n`)],
      [{}, () => 'HTTP/1.1 103 H\r\n\r\n'.repeat(9)],
      [{}, () => `HTTP/1.1 101 S\r\nX:${' '.repeat(200)}`],
      [
        { proxy: new URL('http://proxy:3128') },
        () => `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(200)}\r\n\r\n`,
      ],
    ];
    const attack = claim('an answer sent one byte at a time, by a server or a proxy', 'CWE-400');
    await survives(attack, { ms: atMost(45_000), left: 0 }, async () => {
      let left = 0;
      const times: number[] = [];
      for (const [options, bytes] of dribbles) {
        let more = silent;
        const server = new HostileServer((end, request) => {
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

describe('an aborted dial', () => {
  const reason = new Error('enough');

  /**
   * Dials and aborts when `until` calls `abort`. Resolves to whether the dial rejects with the
   * reason.
   */
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

  it('leaves no handle open, in any phase', async () => {
    const attack = claim('an abort in each phase of a dial', 'websockets/ws#956');
    await survives(attack, { phases: atLeast(7), opened: 0, handles: atMost(0) }, async () => {
      const base = handles();
      const sockets: Socket[] = [];
      let heard: (socket: Socket, text: string) => void = silent;
      const server = createServer((socket) => {
        sockets.push(socket.on('error', silent));
        socket.on('data', (chunk) => heard(socket, chunk.toString('latin1')));
      });
      const port = await listening(server);
      const own = handles().length;
      const at = `127.0.0.1:${port}`;
      const whenHeard = (abort: () => void): void => {
        heard = abort;
      };

      const phases = [
        await aborted(`ws://${at}/`, {}, (abort) => abort()),
        // The lookup has started when the microtasks run.
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
              socket.write(receivedRequest(text).ok('Set-Cookie: a=b\r\n'), () =>
                setImmediate(abort),
              );
            };
          },
        ),
      ];
      // Each socket of the server ends with the client's.
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
