import { CloseCode, type Conn } from '@ws/conn';
import {
  checkOptionNames,
  internalsOf,
  schedulerOf,
  type TimerEntry,
  whole,
} from '@ws/conn/internal';
import { assertOption } from '@ws/node-io/internal';

/** How long a connection may last. */
export interface MaxLifetime {
  /** In ms, from the answer that accepts the handshake to the close frame. */
  readonly ms: number;
  /**
   * The largest part of `ms` by which a connection ends earlier, from 0 to 1. The part is random,
   * so that connections that came together do not end together. Default: 0.1.
   */
  readonly jitter?: number | undefined;
}

/** A checked {@link MaxLifetime}. */
export type LifetimePlan = Readonly<Record<keyof MaxLifetime, number>>;

/** @throws TypeError, RangeError that name the option. */
export function checkLifetime(value: MaxLifetime): LifetimePlan {
  const isObject = typeof value === 'object' && value !== null;
  assertOption('maxLifetime', value, isObject, 'an object: { ms, jitter }');
  checkOptionNames('maxLifetime', value, ['ms', 'jitter'], 'ignore');
  const { ms, jitter = 0.1 } = value;
  assertOption('maxLifetime.ms', ms, typeof ms === 'number', 'a number of ms');
  assertOption('maxLifetime.jitter', jitter, typeof jitter === 'number', 'a number');
  if (!(jitter >= 0 && jitter <= 1)) {
    throw new RangeError(`maxLifetime.jitter: expected a number from 0 to 1, got ${jitter}`);
  }
  return { ms: whole('maxLifetime.ms', ms), jitter };
}

/** Closes `conn` with 1001 after its lifetime, so that its client dials again. */
export function limitLifetime(conn: Conn, { ms, jitter }: LifetimePlan): void {
  const { timers } = schedulerOf(internalsOf(conn).platform);
  /** In the timers that all connections share. */
  const lifetime: TimerEntry = {
    slot: undefined,
    fire: () => void conn.close(CloseCode.GoingAway, 'maximum lifetime'),
  };
  timers.set(lifetime, Math.max(1, ms * (1 - jitter * Math.random())));
  void internalsOf(conn).closed.then(() => timers.clear(lifetime));
}
