import { dial } from '@ws/node-client';
import {
  type Obs,
  ObsCloseError,
  type ObsConn,
  type ReconnectingObsOptions,
  reconnectingObs,
} from '@ws/obs';
import { nothingUnhandled } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { rejection, startFake } from './support.ts';

const soon: ReconnectingObsOptions = { minDelay: 1, maxDelay: 2 };

function iterate(url: string, options: ReconnectingObsOptions): AsyncIterator<Obs> {
  return reconnectingObs(url, { ...soon, ...options })[Symbol.asyncIterator]();
}

describe('reconnectingObs', () => {
  nothingUnhandled();

  it('connects again when a connection has ended', async () => {
    const fake = await startFake({ password: 'secret' });
    const seen: string[] = [];
    let turns = 0;
    for await (const obs of reconnectingObs(fake.url, { ...soon, password: 'secret' })) {
      obs.on('CurrentProgramSceneChanged', ({ sceneName }) => seen.push(sceneName));
      await obs.call('SetCurrentProgramScene', {
        sceneName: `${turns === 0 ? 'Camera' : 'Scene'}`,
      });
      if (++turns === 3) {
        await obs.close();
        break;
      }
      fake.kick(1001);
    }
    expect(seen).toEqual(['Camera', 'Scene', 'Scene']);
  });

  it('leaves the connection open at break', async () => {
    const fake = await startFake();
    let last: Obs | undefined;
    for await (const obs of reconnectingObs(fake.url, soon)) {
      last = obs;
      break;
    }
    expect((await last!.call('GetVersion')).rpcVersion).toBe(1);
    await last!.close();
  });

  it('causes no unhandled rejection when nobody awaits next', async () => {
    const fake = await startFake({ password: 'secret' });
    const obses = iterate(fake.url, { password: 'wrong' });
    void obses.next();
    await expect(obses.next()).resolves.toEqual({ done: true, value: undefined });
  });

  it('ends at once when return() is called during a wait or a connect', async () => {
    let waiting!: AsyncIterator<Obs>;
    let connecting!: AsyncIterator<Obs>;
    const steps: unknown[] = [];
    await new Promise<void>((failed) => {
      const delays = { minDelay: 60_000, maxDelay: 60_000 };
      waiting = iterate('ws://127.0.0.1:1', { ...delays, retry: () => failed() });
      steps.push(waiting.next());
    });
    const fake = await startFake({ hello: false });
    await new Promise<void>((dialed) => {
      connecting = iterate(fake.url, {
        timeout: false,
        dial: (url, options) => {
          dialed();
          return dial(url, options);
        },
      });
      steps.push(connecting.next());
    });
    const done = { done: true, value: undefined };
    expect(await Promise.all([waiting.return?.(), connecting.return?.()])).toEqual([done, done]);
    expect(await Promise.all(steps)).toEqual([done, done]);
  });

  it('throws for a wrong password', async () => {
    const fake = await startFake({ password: 'secret' });
    const error = await rejection(iterate(fake.url, { password: 'wrong' }).next());
    expect(error).toBeInstanceOf(ObsCloseError);
    expect(error).toMatchObject({ closeCode: 4009 });
  });

  it('throws for a server that is not obs-websocket', async () => {
    const fake = await startFake({ hello: 'welcome' });
    const error = await rejection(iterate(fake.url, {}).next());
    expect(error).toMatchObject({ code: 'WS_ERR_OBS_PROTOCOL' });
  });

  it('ends when the user of OBS ends the session', async () => {
    const fake = await startFake();
    const iterator = iterate(fake.url, {});
    await iterator.next();
    const after = iterator.next();
    fake.kick(4011);
    expect(await after).toEqual({ done: true, value: undefined });
  });

  it('connects again after failures, and asks retry', async () => {
    const errors: unknown[] = [];
    const options: ReconnectingObsOptions = {
      retry: (error, { tries }) => {
        errors.push(error);
        return tries < 3 ? undefined : false;
      },
    };
    const error = await rejection(iterate('ws://127.0.0.1:1', options).next());
    expect(errors).toHaveLength(3);
    expect(error).toBe(errors[2]);
    expect(error).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
  });

  it('ends when its signal aborts', async () => {
    const fake = await startFake();
    const abort = new AbortController();
    const iterator = iterate(fake.url, { signal: abort.signal });
    const { value: obs } = (await iterator.next()) as { value: Obs };
    abort.abort();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(await obs.closed).toMatchObject({ code: 1000 });
  });

  it('throws for a part of a connection from `dial`, and ends that connection', async () => {
    const fake = await startFake();
    let whole!: ObsConn;
    const iterator = iterate(fake.url, {
      dial: async (url, options) => {
        whole = await dial(url, options);
        return {
          close: () => whole.close(),
          closed: whole.closed,
          readMessage: () => whole.readMessage(),
          receive: (handler) => whole.receive(handler),
          send: (data) => whole.send(data),
          terminate: () => whole.terminate(),
        };
      },
    });
    const error = await rejection(iterator.next());
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain('dial: expected a promise of a Conn');
    expect(await whole.closed).toMatchObject({ code: 1006 });
  });

  it('throws for a wrong option at once', () => {
    expect(() => reconnectingObs('ws://127.0.0.1:1', { minDelays: 1 } as never)).toThrow(
      'reconnectingObs: unknown option minDelays; did you mean minDelay?',
    );
    expect(() => reconnectingObs('ws://127.0.0.1:1', { minDelay: -1 })).toThrow(RangeError);
    expect(() => reconnectingObs('ws://127.0.0.1:1', { rpcVersion: -1 })).toThrow(RangeError);
    for (const options of [null, { retry: 5 }]) {
      expect(() => reconnectingObs('ws://127.0.0.1:1', options as never)).toThrow(
        /: expected an? /,
      );
    }
  });
});
