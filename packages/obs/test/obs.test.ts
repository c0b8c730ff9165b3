import { getEventListeners } from 'node:events';
import { BackpressureError, portablePlatform, TimeoutError } from '@ws/conn';
import { dial } from '@ws/node-client';
import {
  EventSubscription,
  type Obs,
  ObsCloseError,
  ObsProtocolError,
  ObsRequestError,
  RequestStatus,
} from '@ws/obs';
import { nothingUnhandled, retryUntilTimer } from '@ws/tests';
import { type FakeObs, noAnswer } from '@ws/tests/obs';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { connected, rejection, reports } from './support.ts';

/** An Obs, and the result of a call whose request GetStats has no answer yet. */
async function unanswered<T>(call: (obs: Obs) => Promise<T>) {
  const { fake, obs } = await connected({ respond: { GetStats: noAnswer } });
  const result = call(obs);
  await fake.requested('GetStats');
  return { fake, obs, result };
}

/** As {@link unanswered}, and OBS answers with `results`. */
async function batchOf(count: number, results: string) {
  const { fake, result } = await unanswered((obs) =>
    obs.batch(Array.from({ length: count }, () => ({ requestType: 'GetStats' }))),
  );
  fake.sendRaw(`{"op":9,"d":{"requestId":"1","results":[${results}]}}`);
  return result;
}

/** Resolves with the next event. */
function next<T>(subscribe: (listener: (data: T) => void) => () => void): Promise<T> {
  return new Promise((resolve) => {
    const remove = subscribe((data) => {
      remove();
      resolve(data);
    });
  });
}

describe('Obs.call', () => {
  nothingUnhandled();

  it('resolves with the data of the answer', async () => {
    const { obs } = await connected();
    await obs.call('SetCurrentProgramScene', { sceneName: 'Camera' });
    const { currentProgramSceneName, scenes } = await obs.call('GetSceneList');
    expect(currentProgramSceneName).toBe('Camera');
    expect(scenes.map(({ sceneName }) => sceneName)).toEqual(['Scene', 'Camera']);
  });

  it('matches answers that come in another order', async () => {
    let answerFirst!: () => void;
    const wait = new Promise<void>((resolve) => {
      answerFirst = resolve;
    });
    const { obs } = await connected({
      respond: {
        GetStats: async () => {
          await wait;
          return { cpuUsage: 1 };
        },
      },
    });
    const first = obs.call('GetStats');
    expect((await obs.call('GetStudioModeEnabled')).studioModeEnabled).toBe(false);
    answerFirst();
    expect((await first).cpuUsage).toBe(1);
  });

  it('rejects with an ObsRequestError for a refused request', async () => {
    const { obs } = await connected();
    const error = await rejection(obs.call('SetCurrentProgramScene', { sceneName: 'Nowhere' }));
    expect(error).toBeInstanceOf(ObsRequestError);
    expect(error).toMatchObject({
      code: 'WS_ERR_OBS_REQUEST',
      requestType: 'SetCurrentProgramScene',
      status: RequestStatus.ResourceNotFound,
      comment: 'No source was found by the name of `Nowhere`.',
    });
    expect(error.message).toContain(
      'OBS refused SetCurrentProgramScene with status 600: No source',
    );
  });

  it('rejects for a request that OBS does not know', async () => {
    const { obs } = await connected();
    const error = await rejection(obs.call('GetScenes' as never));
    expect(error).toMatchObject({ status: RequestStatus.UnknownRequestType });
  });

  it('times out, and ignores the late answer', async () => {
    const { report, errors } = reports();
    let answer!: (data: object) => void;
    const late = new Promise<object>((resolve) => {
      answer = resolve;
    });
    const { obs } = await connected(
      { respond: { GetStats: () => late as Promise<Record<string, unknown>> } },
      { report },
    );
    const error = await rejection(obs.call('GetStats', undefined, { timeout: 20 }));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.message).toContain('GetStats: no answer for 20 ms');
    answer({});
    await obs.call('GetStudioModeEnabled');
    expect(errors).toEqual([]);
  });

  it('times out before calls with a longer timeout', async () => {
    const { fake, obs } = await connected({ respond: { GetStats: noAnswer } });
    const longer = obs.call('GetStats');
    const shorter = obs.call('GetStats', undefined, { timeout: 20 });
    const never = obs.call('GetStats', undefined, { timeout: false });
    expect(await rejection(shorter)).toBeInstanceOf(TimeoutError);
    const next = obs.call('GetStats', undefined, { timeout: 30 });
    expect((await rejection(next)).message).toContain('for 30 ms');
    fake.crash();
    for (const call of [longer, never]) {
      expect(await rejection(call)).toBeInstanceOf(ObsCloseError);
    }
  });

  it('takes an answer of 20 MiB', async () => {
    const imageData = 'x'.repeat(20 * 2 ** 20);
    const { obs } = await connected({ respond: { GetSourceScreenshot: () => ({ imageData }) } });
    const data = { sourceName: 'Camera', imageFormat: 'png' };
    const { imageData: answer } = await obs.call('GetSourceScreenshot', data, { timeout: false });
    expect(answer).toHaveLength(20 * 2 ** 20);
  });

  it('names the option readLimit for a longer answer', async () => {
    const { obs } = await connected(
      { respond: { GetSourceScreenshot: () => ({ imageData: 'x'.repeat(2_000) }) } },
      { readLimit: 1_000 },
    );
    const data = { sourceName: 'Camera', imageFormat: 'png' };
    const error = await rejection(obs.call('GetSourceScreenshot', data));
    expect(error).toMatchObject({ name: 'ObsCloseError', closeCode: 1009 });
    expect(error.message).toContain('raise the option readLimit');
    expect(error.cause).toMatchObject({ name: 'ReadLimitError', limit: 1_000 });
  });

  it('does not wait for the end of TCP after a close frame of OBS', async () => {
    const { fake, obs } = await connected(
      { respond: { GetStats: noAnswer } },
      {
        dial: async (url, options) => {
          const conn = await dial(url, options);
          // The end of TCP does not come.
          Object.defineProperty(conn, 'closed', { value: new Promise(() => {}) });
          return conn;
        },
      },
    );
    const call = obs.call('GetStats');
    const events = obs.events('ExitStarted')[Symbol.asyncIterator]().next();
    await fake.requested('GetStats');
    fake.kick(4009, 'wrong');
    expect(await rejection(call)).toMatchObject({ closeCode: 4009, reason: 'wrong' });
    expect(await rejection(events)).toMatchObject({ closeCode: 4009 });
    expect(await rejection(obs.call('GetStats'))).toMatchObject({ closeCode: 4009 });
  });

  it('has the cause of a connection that broke', async () => {
    const { fake, obs, result } = await unanswered((each) => each.call('GetStats'));
    fake.crash();
    const { code, error } = await obs.closed;
    expect([code, error]).toEqual([1006, expect.any(Error)]);
    expect((await rejection(result)).cause).toBe(error);
  });

  it('leaves no listener on its signal', async () => {
    const { obs } = await connected();
    const { signal } = new AbortController();
    await obs.call('GetVersion', undefined, { signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('rejects with the reason of its signal', async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const { fake, obs, result } = await unanswered((each) =>
      each.call('GetStats', undefined, { signal }),
    );
    abort.abort(new Error('enough'));
    expect((await rejection(result)).message).toBe('enough');
    expect((await rejection(obs.call('GetVersion', undefined, { signal }))).message).toBe('enough');
    expect(fake.requests).toEqual(['GetStats']);
  });

  it('does not report the reason of a signal, even a TypeError', async () => {
    const { report, errors } = reports();
    const { fake, obs } = await connected({}, { report });
    const signal = AbortSignal.abort(new TypeError('left the page'));
    const error = await rejection(obs.call('GetStats', undefined, { signal }));
    expect(error).toBe(signal.reason);
    await obs.call('GetVersion');
    expect([errors, fake.requests]).toEqual([[], ['GetVersion']]);
  });

  it.each<[string, (fake: FakeObs, obs: Obs) => unknown, number]>([
    ['crashes', (fake) => fake.crash(), 1006],
    ['exits', (fake) => fake.kick(1001), 1001],
    ['invalidates the session', (fake) => fake.kick(4011), 4011],
    ['is left by close()', (_, obs) => obs.close(), 1000],
  ])('rejects pending and later calls when OBS %s', async (_, end, closeCode) => {
    const { fake, obs } = await connected({ respond: { GetStats: noAnswer } });
    const calls = [obs.call('GetStats'), obs.call('GetStats', undefined, { timeout: false })];
    await fake.requested('GetStats');
    void end(fake, obs);
    for (const call of [...calls, obs.call('GetVersion')]) {
      const error = await rejection(call);
      expect(error).toBeInstanceOf(ObsCloseError);
      expect(error).toMatchObject({ closeCode });
    }
    expect(await obs.closed).toMatchObject({ code: closeCode });
    expect(await rejection(obs.call('GetVersion'))).toMatchObject({ closeCode });
  });

  it('does not keep other work from running in a loop after the end', async () => {
    const { obs } = await connected();
    await obs.close();
    let turns = 0;
    let timer = setImmediate(function count(): void {
      turns++;
      timer = setImmediate(count);
    });
    for (let i = 0; i < 10; i++) await obs.call('GetVersion').catch(() => {});
    clearImmediate(timer);
    expect(turns).toBeGreaterThan(5);
  });

  it.each([
    [['GetVersion', 'x'], 'GetVersion: expected an object of fields, got string'],
    [['GetVersion', []], 'GetVersion: expected an object of fields, got Array'],
    [[undefined], 'call: expected the name of a request, got undefined'],
    [
      ['GetVersion', undefined, { timeOut: 1 }],
      'call: unknown option timeOut; did you mean timeout?',
    ],
    [['GetVersion', undefined, { timeout: -1 }], 'timeout: expected a whole number'],
    [['SetPersistentData', { slotValue: 1n }], 'serialize a BigInt'],
  ])('rejects and reports the arguments %o', async (args, message) => {
    const { report, errors } = reports();
    const { obs } = await connected({}, { report });
    const call = obs.call.bind(obs) as (...args: unknown[]) => Promise<unknown>;
    const error = await rejection(call(...(args as unknown[])));
    expect(error.message).toContain(message);
    expect(errors).toEqual([error]);
  });
});

describe('a refusal', () => {
  nothingUnhandled();

  it.each([
    ['"a\\u001b"', ': a\\u001b'],
    ['5', ''],
    ['{}', ''],
    ['{"toString":1}', ''],
    ['""', ''],
  ])('has the comment %s in its text', async (comment, text) => {
    const { fake, result } = await unanswered((obs) => obs.call('GetStats'));
    const requestStatus = `{"result":false,"code":600,"comment":${comment}}`;
    fake.sendRaw(`{"op":7,"d":{"requestId":"1","requestStatus":${requestStatus}}}`);
    const error = await rejection(result);
    expect(error).toBeInstanceOf(ObsRequestError);
    expect(error.message).toBe(`websocket: OBS refused GetStats with status 600${text}`);
  });
});

describe('Obs.batch', () => {
  nothingUnhandled();

  it('takes the error of a result from its status only', async () => {
    const accepted =
      '{"requestType":"GetStats","requestStatus":{"result":true,"code":100},"error":"mine"}';
    const refused = '{"requestType":"GetStats","requestStatus":{"result":false,"code":"600"}}';
    const [first, second] = await batchOf(2, `${accepted},${refused}`);
    expect(first?.error).toBeUndefined();
    expect(second?.error).toMatchObject({ requestType: 'GetStats', status: RequestStatus.Unknown });
  });

  it('escapes the name of a refused request, which comes from OBS', async () => {
    const refused = '{"requestType":"\\u001b[2J","requestStatus":{"result":false,"code":600}}';
    const [result] = await batchOf(1, refused);
    expect(result?.error?.message).toContain('OBS refused \\u001b[2J with status 600');
  });

  it.each(['{"toString":1}', 'null'])('rejects for a result with the name %s', async (name) => {
    const refused = `{"requestType":${name},"requestStatus":{"result":false,"code":600}}`;
    const error = await rejection(batchOf(1, refused));
    expect(error).toBeInstanceOf(ObsProtocolError);
    expect(error.message).toContain('requestType: expected string, got ');
  });

  it('resolves with the result of each request', async () => {
    const { obs } = await connected();
    const [created, list, refused] = await obs.batch([
      { requestType: 'CreateScene', requestData: { sceneName: 'New' } },
      { requestType: 'GetSceneList' },
      { requestType: 'CreateScene', requestData: { sceneName: 'New' } },
    ]);
    expect(created).toMatchObject({ requestType: 'CreateScene', requestStatus: { result: true } });
    expect(list?.requestType === 'GetSceneList' && list.responseData?.scenes.length).toBe(3);
    expect(refused?.error).toBeInstanceOf(ObsRequestError);
    expect(refused?.error).toMatchObject({ status: RequestStatus.ResourceAlreadyExists });
  });

  it('stops at the first refused request with haltOnFailure', async () => {
    const { fake, obs } = await connected();
    const results = await obs.batch(
      [
        { requestType: 'RemoveInput', requestData: { inputName: 'none' } },
        { requestType: 'GetVersion' },
      ],
      { haltOnFailure: true },
    );
    expect(results).toHaveLength(1);
    expect(results[0]?.error).toMatchObject({ requestType: 'RemoveInput' });
    expect(fake.requests).toEqual(['RemoveInput']);
  });

  it.each(['serial-realtime', 'serial-frame', 'parallel'] as const)(
    'runs %s',
    async (execution) => {
      const { obs } = await connected();
      const results = await obs.batch(
        [{ requestType: 'GetVersion' }, { requestType: 'GetStats' }],
        { execution },
      );
      expect(results.map(({ requestType }) => requestType)).toEqual(['GetVersion', 'GetStats']);
    },
  );

  it('resolves with the verdicts of a parallel batch in the order of their ends', async () => {
    const later = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
    const { obs } = await connected({ respond: { StopStream: () => later } });
    const results = await obs.batch(
      [
        { requestType: 'StopStream' },
        { requestType: 'RemoveScene', requestData: { sceneName: 'None' } },
      ],
      { execution: 'parallel', haltOnFailure: true },
    );
    expect(results.map(({ requestType, error }) => [requestType, error?.status])).toEqual([
      ['StopStream', RequestStatus.ResourceNotFound],
      ['RemoveScene', undefined],
    ]);
  });

  it.each([
    [[{}], 'batch: expected an array of requests, got Object'],
    [[[], { execution: 'fast' }], 'execution: expected serial-realtime or'],
    [[[], { halt: true }], 'batch: unknown option halt'],
    [[[], { haltOnFailure: 'yes' }], 'haltOnFailure: expected a boolean, got string'],
    [[[], null], 'batch: expected an object of options, got null'],
    [[[null]], 'batch: expected the name of a request, got undefined'],
    [[[{ requestType: 5 }]], 'batch: expected the name of a request, got number'],
    [[[{ requestType: 'Sleep', requestData: 5 }]], 'Sleep: expected an object of fields, got'],
  ])('rejects the arguments %o', async (args, message) => {
    const { report } = reports();
    const { obs } = await connected({}, { report });
    const batch = obs.batch.bind(obs) as (...args: unknown[]) => Promise<unknown>;
    expect((await rejection(batch(...args))).message).toContain(message);
  });
});

describe('Obs.on', () => {
  nothingUnhandled();

  it('calls every listener until it is removed', async () => {
    const { obs } = await connected();
    const seen: string[] = [];
    const remove = obs.on('CurrentProgramSceneChanged', ({ sceneName }) =>
      seen.push(`1 ${sceneName}`),
    );
    obs.on('CurrentProgramSceneChanged', ({ sceneName }) => seen.push(`2 ${sceneName}`));
    await obs.call('SetCurrentProgramScene', { sceneName: 'Camera' });
    remove();
    remove();
    await obs.call('SetCurrentProgramScene', { sceneName: 'Scene' });
    expect(seen).toEqual(['1 Camera', '2 Camera', '2 Scene']);
  });

  it('misses no event that comes right after Identified', async () => {
    const { fake, obs } = await connected();
    fake.emit('ExitStarted');
    expect(await next((listener) => obs.on('ExitStarted', listener))).toBeUndefined();
  });

  const throws = (): never => {
    throw new Error('mine');
  };

  it.each([
    ['throws', throws],
    ['rejects', async () => throws()],
  ])('reports a listener that %s, and calls the others', async (_, listener) => {
    const { report, first } = reports();
    const { obs } = await connected({}, { report });
    obs.on('CustomEvent', listener);
    const event = next((other) => obs.on('CustomEvent', other));
    await obs.call('BroadcastCustomEvent', { eventData: { x: 1 } });
    expect(await event).toEqual({ x: 1 });
    expect(await first).toMatchObject({ message: 'mine' });
    expect((await obs.call('GetVersion')).rpcVersion).toBe(1);
  });

  it('delivers an event that this version does not know', async () => {
    const { fake, obs } = await connected();
    const event = next((listener) => obs.on('Invented' as never, listener));
    fake.emit('Invented', { x: 1 });
    expect(await event).toEqual({ x: 1 });
  });

  it('gets the events of eventSubscriptions only', async () => {
    const { obs } = await connected({}, { eventSubscriptions: EventSubscription.Ui });
    const seen: string[] = [];
    obs.on('CurrentProgramSceneChanged', () => seen.push('scene'));
    obs.on('StudioModeStateChanged', () => seen.push('studio mode'));
    await obs.call('SetCurrentProgramScene', { sceneName: 'Camera' });
    await obs.call('SetStudioModeEnabled', { studioModeEnabled: true });
    expect(seen).toEqual(['studio mode']);
  });

  it('does not call a listener that another one has removed', async () => {
    const { obs } = await connected();
    let calls = 0;
    obs.on('CustomEvent', () => remove());
    const remove = obs.on('CustomEvent', () => calls++);
    await obs.call('BroadcastCustomEvent', { eventData: {} });
    await obs.call('GetVersion');
    expect(calls).toBe(0);
  });

  it('calls a listener that another one adds from the next event on', async () => {
    const { obs } = await connected();
    let calls = 0;
    const add = (): void => {
      calls++;
      obs.on('CustomEvent', add);
    };
    obs.on('CustomEvent', add);
    for (let i = 0; i < 3; i++) await obs.call('BroadcastCustomEvent', { eventData: {} });
    await obs.call('GetVersion');
    expect(calls).toBe(1 + 2 + 4);
  });

  it('throws for a listener that is no function', async () => {
    const { obs } = await connected();
    expect(() => obs.on('ExitStarted', 1 as never)).toThrow('on ExitStarted: expected a function');
  });
});

describe('Obs.reidentify', () => {
  nothingUnhandled();

  it('changes the events, and calls wait for it', async () => {
    const { obs } = await connected({}, { eventSubscriptions: EventSubscription.None });
    const seen: string[] = [];
    obs.on('CurrentProgramSceneChanged', ({ sceneName }) => seen.push(sceneName));
    await obs.call('SetCurrentProgramScene', { sceneName: 'Camera' });
    const done = obs.reidentify({ eventSubscriptions: EventSubscription.Scenes });
    await obs.call('SetCurrentProgramScene', { sceneName: 'Scene' });
    await done;
    expect(seen).toEqual(['Scene']);
  });

  it('runs one after the other', async () => {
    const { obs } = await connected();
    const seen: string[] = [];
    obs.on('CurrentProgramSceneChanged', ({ sceneName }) => seen.push(sceneName));
    const order: number[] = [];
    const ended = (i: number) => () => void order.push(i);
    await Promise.all([
      obs.reidentify({ eventSubscriptions: EventSubscription.None }).then(ended(0)),
      obs.call('SetCurrentProgramScene', { sceneName: 'Camera' }).then(ended(1)),
      obs.reidentify({ eventSubscriptions: EventSubscription.Scenes }).then(ended(2)),
      obs.call('SetCurrentProgramScene', { sceneName: 'Scene' }).then(ended(3)),
    ]);
    // OBS answers calls in any order, also after the answer to the next Reidentify.
    expect(order.filter((i) => i !== 1)).toEqual([0, 2, 3]);
    expect(order.indexOf(1)).toBeGreaterThan(0);
    expect(seen).toEqual(['Scene']);
  });

  it('holds calls until its answer, also after its own timeout', async () => {
    const { fake, obs } = await connected({ holdsReidentify: true });
    const late = obs.reidentify({ eventSubscriptions: 1, timeout: 20 });
    expect(await rejection(late)).toBeInstanceOf(TimeoutError);

    const abort = new AbortController();
    const aborted = obs.call('GetStats', undefined, { signal: abort.signal });
    const expired = obs.call('GetMonitorList', undefined, { timeout: 20 });
    const second = obs.reidentify({ eventSubscriptions: 2 });
    let isSecond = false;
    void second.then(() => {
      isSecond = true;
    });
    const call = obs.call('GetStudioModeEnabled');
    abort.abort(new Error('enough'));
    expect((await rejection(aborted)).message).toBe('enough');
    expect(await rejection(expired)).toBeInstanceOf(TimeoutError);
    expect(fake.requests).toEqual([]);

    fake.answerReidentify();
    await fake.reidentified(2);
    expect([isSecond, fake.requests]).toEqual([false, []]);
    fake.answerReidentify();
    await second;
    expect((await call).studioModeEnabled).toBe(false);
    expect(fake.requests).toEqual(['GetStudioModeEnabled']);
  });

  it('says in the error of a call that waits for its answer', async () => {
    const { obs } = await connected({ holdsReidentify: true });
    void obs.reidentify();
    const held = await rejection(obs.call('GetVersion', undefined, { timeout: 20 }));
    expect(held.message).toContain(
      'GetVersion: not sent, no answer of OBS to a reidentify for 20 ms (option timeout)',
    );
  });

  it('ends the connection when its answer is 30 s overdue', async () => {
    const timers: [number, () => void][] = [];
    const setTimer = vi.spyOn(portablePlatform, 'setTimer').mockImplementation((ms, fire) => {
      timers.push([ms, fire]);
      return () => {};
    });
    onTestFinished(() => setTimer.mockRestore());
    const { fake, obs } = await connected({ holdsReidentify: true });
    const calls = [obs.reidentify({ timeout: 500 }), obs.call('GetVersion')];
    await fake.reidentified(1);
    timers.find(([ms]) => ms === 30_500)![1]();
    const { code, error } = await obs.closed;
    expect([code, error]).toEqual([1006, expect.any(TimeoutError)]);
    expect((error as Error).message).toContain('reidentify: no answer for 30500 ms');
    for (const call of calls) {
      expect(await rejection(call)).toMatchObject({ name: 'ObsCloseError', cause: error });
    }
  });

  it('keeps the connection after a late answer', async () => {
    const cancel = vi.fn();
    const setTimer = vi
      .spyOn(portablePlatform, 'setTimer')
      .mockImplementation((ms) => (ms === 30_500 ? cancel : () => {}));
    onTestFinished(() => setTimer.mockRestore());
    const { fake, obs } = await connected({ holdsReidentify: true });
    void obs.reidentify({ timeout: 500 });
    await fake.reidentified(1);
    expect(cancel).not.toHaveBeenCalled();
    fake.answerReidentify();
    await obs.call('GetVersion');
    expect(cancel).toHaveBeenCalledTimes(1);
  });

  it('holds at most 1,000 calls', async () => {
    const { fake, obs } = await connected({ holdsReidentify: true });
    const done = obs.reidentify({ timeout: false });
    // Answers to 1,000 calls may take long on a busy machine.
    const unbounded = { timeout: false } as const;
    const calls = Array.from({ length: 1_000 }, () => obs.call('GetStats', undefined, unbounded));
    const { signal } = new AbortController();
    const refused = obs.call('GetStats', undefined, { signal, ...unbounded });
    expect(await rejection(refused)).toBeInstanceOf(BackpressureError);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    const retried = await retryUntilTimer(() => obs.call('GetStats'));
    expect(retried).toBeInstanceOf(BackpressureError);
    await fake.reidentified(1);
    fake.answerReidentify();
    await Promise.all([done, ...calls]);
    const aborted = AbortSignal.abort('stop');
    const call = (): Promise<unknown> => obs.call('GetStats', undefined, { signal: aborted });
    expect(await retryUntilTimer(call)).toBe('stop');
  });

  it('rejects held calls when the connection ends', async () => {
    const { fake, obs } = await connected({ holdsReidentify: true });
    const calls = [obs.reidentify(), obs.call('GetVersion'), obs.reidentify()];
    await fake.reidentified(1);
    fake.crash();
    for (const call of calls) expect(await rejection(call)).toBeInstanceOf(ObsCloseError);
  });

  it('rejects when the connection ends', async () => {
    const { fake, obs } = await connected();
    fake.crash();
    expect(await rejection(obs.reidentify())).toBeInstanceOf(ObsCloseError);
  });
});

describe('Obs.close', () => {
  nothingUnhandled();

  it('has the same result every time', async () => {
    const { fake, obs } = await connected();
    const [first, second] = await Promise.all([obs.close(), obs.close()]);
    expect(first).toMatchObject({ code: 1000 });
    expect(second).toBe(first);
    fake.crash();
    expect(await obs.close()).toBe(first);
  });
});

describe('an event that comes after close()', () => {
  it('reaches no listener and no loop', async () => {
    const { fake, obs } = await connected();
    const heard: unknown[] = [];
    obs.on('ExitStarted', () => heard.push('by on'));
    const waiting = obs.events('ExitStarted')[Symbol.asyncIterator]().next();
    const closing = obs.close();
    fake.emit('ExitStarted');
    expect((await closing).wasClean).toBe(true);
    expect(heard).toEqual([]);
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});

describe('Obs.events', () => {
  nothingUnhandled();

  it('iterates over the events with these names until the connection closes', async () => {
    const { fake, obs } = await connected();
    const loop = (async () => {
      const seen: unknown[] = [];
      for await (const event of obs.events('CurrentProgramSceneChanged', 'ExitStarted')) {
        seen.push(event);
        if (event.type === 'ExitStarted') fake.kick(1001);
      }
      return seen;
    })();
    await obs.call('SetCurrentProgramScene', { sceneName: 'Camera' });
    fake.emit('ExitStarted');
    expect(await loop).toEqual([
      { type: 'CurrentProgramSceneChanged', data: { sceneName: 'Camera' } },
      { type: 'ExitStarted', data: undefined },
    ]);
    const after = obs.events('ExitStarted')[Symbol.asyncIterator]();
    expect(await after.next()).toEqual({ done: true, value: undefined });
  });

  it('throws when the connection is lost', async () => {
    const { fake, obs } = await connected();
    const iterator = obs.events('ExitStarted')[Symbol.asyncIterator]();
    const waiting = iterator.next();
    fake.crash();
    expect(await rejection(waiting)).toBeInstanceOf(ObsCloseError);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('throws instead of holding more than 1,000 events', async () => {
    const { fake, obs } = await connected();
    const iterator = obs.events('CustomEvent')[Symbol.asyncIterator]();
    const first = iterator.next();
    for (let i = 0; i < 1_002; i++) fake.emit('CustomEvent', { i });
    await obs.call('GetVersion');
    expect(await first).toMatchObject({ value: { data: { i: 0 } } });
    expect(await rejection(iterator.next())).toBeInstanceOf(BackpressureError);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('ends with break', async () => {
    const { fake, obs } = await connected();
    const iterator = obs.events('CustomEvent')[Symbol.asyncIterator]();
    const first = iterator.next();
    fake.emit('CustomEvent', {});
    fake.emit('CustomEvent', {});
    expect((await first).done).toBe(false);
    await iterator.return?.();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('ends while next() waits', async () => {
    const { fake, obs } = await connected();
    const iterator = obs.events('CustomEvent')[Symbol.asyncIterator]();
    const waiting = [iterator.next(), iterator.next()];
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    const done = { done: true, value: undefined };
    expect(await Promise.all(waiting)).toEqual([done, done]);
    fake.emit('CustomEvent', {});
    await obs.call('GetVersion');
    expect(await iterator.next()).toEqual(done);
  });

  it.each([[['CustomEvent']], [['CustomEvent', 'CustomEvent']]] as const)(
    'gives each of several next() an event of its own, once, with the names %j',
    async (names) => {
      const { fake, obs } = await connected();
      const iterator = obs.events(...(names as readonly ['CustomEvent']))[Symbol.asyncIterator]();
      const waiting = [iterator.next(), iterator.next()];
      for (const i of [0, 1]) fake.emit('CustomEvent', { i });
      const results = await Promise.all(waiting);
      expect(results).toMatchObject([{ value: { data: { i: 0 } } }, { value: { data: { i: 1 } } }]);
    },
  );

  it('throws without a name', async () => {
    const { obs } = await connected();
    expect(() => (obs.events as () => unknown).call(obs)).toThrow('expected the names of events');
  });
});

describe('a message that obs-websocket does not send', () => {
  nothingUnhandled();

  it.each([
    ['{', 'cannot be decoded'],
    ['null', 'a message: expected object, got '],
    ['{"op":7}', 'a message: expected object, got '],
    ['{"op":7,"d":{"requestId":"x"}}', 'an answer without a call: id "x"'],
    ['{"op":7,"d":{}}', 'an answer without a call'],
    ['{"op":2,"d":{}}', 'an answer without a call'],
    ['{"op":99,"d":{}}', 'unknown op 99'],
    ['{"d":{}}', 'unknown op undefined'],
    ['{"op":5,"d":null}', 'a message: expected object, got '],
    ['{"op":5,"d":{"eventData":{}}}', 'eventType: expected string, got undefined'],
    ['[]', 'a message: expected object, got '],
    ['{"op":7,"d":{"requestId":"__proto__"}}', 'an answer without a call: id "__proto__"'],
    ['{"op":7,"d":{"requestId":"\\u202e\\u009b"}}', 'call: id "\\u202e\\u009b"'],
    ['{"op":7,"d":{"requestId":{"toString":1}}}', 'an answer without a call'],
    [`{"op":7,"d":{"requestId":"${'9'.repeat(100_000)}"}}`, 'an answer without a call: id "999'],
  ])('is reported: %s', async (text, message) => {
    const { report, first } = reports();
    const { fake, obs } = await connected({}, { report });
    fake.sendRaw(text);
    const error = (await first) as Error;
    expect(error).toMatchObject({ code: 'WS_ERR_OBS_PROTOCOL' });
    expect(error.message).toContain(message);
    expect(error.message.length).toBeLessThan(300);
    expect((await obs.call('GetVersion')).rpcVersion).toBe(1);
  });

  it('is counted when another one was reported within a second', async () => {
    const timers: (() => void)[] = [];
    const setTimer = vi.spyOn(portablePlatform, 'setTimer').mockImplementation((ms, fire) => {
      if (ms === 1_000) timers.push(fire);
      return () => {};
    });
    onTestFinished(() => setTimer.mockRestore());
    const { report, errors } = reports();
    const { fake, obs } = await connected({}, { report });
    for (let i = 0; i < 5_000; i++) fake.sendRaw('{"op":99,"d":{}}');
    await obs.call('GetVersion');
    expect(errors).toMatchObject([{ code: 'WS_ERR_OBS_PROTOCOL' }]);
    timers.shift()!();
    expect(errors[1]).toMatchObject({
      code: 'WS_ERR_OBS_PROTOCOL',
      message: expect.stringContaining('4999 more malformed messages') as string,
    });
    timers.shift()!();
    fake.sendRaw('{"op":99,"d":{}}');
    await obs.call('GetVersion');
    expect(errors).toHaveLength(3);
    expect(timers).toHaveLength(1);
  });

  it('is ignored when it is a second answer, or an event with the name of a prototype', async () => {
    const { report, errors } = reports();
    const { fake, obs } = await connected({}, { report });
    await obs.call('GetVersion');
    fake.sendRaw('{"op":7,"d":{"requestId":"1","requestStatus":{"result":true}}}');
    for (const name of ['__proto__', 'constructor']) fake.emit(name, { x: 1 });
    await obs.call('GetVersion');
    expect(errors).toEqual([]);
  });

  it.each<[string, (obs: Obs) => Promise<unknown>]>([
    ['{"op":9,"d":{"requestId":"1"}}', (obs) => obs.batch([{ requestType: 'GetStats' }])],
    [
      '{"op":9,"d":{"requestId":"1","results":[null]}}',
      (obs) => obs.batch([{ requestType: 'GetStats' }]),
    ],
    ['{"op":7,"d":{"requestId":"1"}}', (obs) => obs.call('GetStats')],
  ])('fails its call or batch: %s', async (text, call) => {
    const { fake, result } = await unanswered(call);
    fake.sendRaw(text);
    expect(await rejection(result)).toMatchObject({ code: 'WS_ERR_OBS_PROTOCOL' });
  });
});

describe('await using', () => {
  it('closes the connection', async () => {
    const { obs } = await connected();
    await obs[Symbol.asyncDispose]();
    expect(await obs.closed).toMatchObject({ code: 1000, wasClean: true });
  });
});
