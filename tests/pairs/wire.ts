import type { Http2Session } from 'node:http2';
import type { Platform, Role, Transport } from '@ws/conn';
import { http2Transport } from '@ws/node-io';
import { cancel, SteppedTransport, streamPair, turn } from '../kit/index.ts';

/** The two transports of a pair, and what carries their bytes. A promise is for what takes turns. */
export interface Wire {
  /** That of the end that runs the operations. */
  readonly near: Transport;
  readonly far: Transport;
  /** Delivers bytes to one end. */
  step(to: 'near' | 'far'): void | Promise<void>;
  /** The far end sends a FIN, which arrives. */
  endFar(): void | Promise<void>;
  /** The transports fail. */
  break(): void | Promise<void>;
  /** The ends that were reported have come. */
  rest(): void | Promise<void>;
}

/** Opens the wire of a pair whose near end has this role. */
export type OpenWire = (platform: Platform, role: Role) => Wire | Promise<Wire>;

/** A transport that holds more bytes than this is blocked, and writes wait. */
export const HIGH_WATER_MARK = 1_000;

/** Two transports in memory. */
export function steppedWire(platform: Platform): Wire {
  const [near, far] = [0, 1].map(
    () =>
      new SteppedTransport(platform, {
        cuts: [65_536],
        stalls: [0],
        highWaterMark: HIGH_WATER_MARK,
      }),
  ) as [SteppedTransport, SteppedTransport];
  near.peer = far;
  far.peer = near;
  return {
    near,
    far,
    step: (to) => (to === 'near' ? far : near).step(),
    endFar() {
      far.end();
      far.step();
    },
    break: () => near.break(),
    rest() {},
  };
}

/** Turns of the event loop in which bytes of a session arrive at the other end. */
const TURNS = 8;

async function turns(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await turn();
}

/** Resolves when the other end has read all that the session has sent before. */
function pinged(session: Http2Session): Promise<void> {
  return new Promise((resolve) => {
    const isSent = !session.destroyed && !session.closed && session.ping(() => resolve());
    if (!isSent) resolve();
  });
}

/**
 * The two ends of a stream of HTTP/2, on sockets. Its bytes move in turns of the event loop. The
 * operations of a pair take none, unless they wait for a FIN or a reset.
 */
export function http2Wire(secure: boolean, whenOver: (end: () => unknown) => void): OpenWire {
  return async (_platform, role) => {
    const { client, server, session, serverSession, dispose } = await streamPair(secure);
    whenOver(dispose);
    const [ours, theirs] = role === 'server' ? [server, client] : [client, server];
    const options = { highWaterMark: HIGH_WATER_MARK };
    const far = http2Transport(theirs, options);
    // On a busy machine, the kernel delivers bytes many turns later.
    const arrival = async (): Promise<void> => {
      await turns();
      await Promise.all([pinged(session), pinged(serverSession)]);
      await turns();
    };
    return {
      near: http2Transport(ours, options),
      far,
      step: arrival,
      endFar() {
        far.end();
        return arrival();
      },
      break() {
        if (!theirs.destroyed) cancel(theirs);
        return arrival();
      },
      rest: arrival,
    };
  };
}
