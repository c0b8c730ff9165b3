import { decode, encode } from '@msgpack/msgpack';
import { ObsRequestError } from '@ws/obs';
import { nothingUnhandled } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { connected, rejection, reports } from './support.ts';

const encoding = { encode, decode };

describe('the option encoding', () => {
  nothingUnhandled();

  it('sends and receives MessagePack', async () => {
    const { obs } = await connected({ password: 'secret' }, { encoding });
    const scenes: string[] = [];
    obs.on('CurrentProgramSceneChanged', ({ sceneName }) => scenes.push(sceneName));
    await obs.call('SetCurrentProgramScene', { sceneName: 'Camera' });
    expect(scenes).toEqual(['Camera']);
    const results = await obs.batch([{ requestType: 'GetVersion' }]);
    expect(results[0]?.responseData?.rpcVersion).toBe(1);
    await obs.reidentify({ eventSubscriptions: 0 });
    const refused = obs.call('SetCurrentProgramScene', { sceneName: 'Nowhere' });
    expect(await rejection(refused)).toBeInstanceOf(ObsRequestError);
  });

  it('gives bytes to decode that later messages do not overwrite', async () => {
    const { fake, obs } = await connected({}, { encoding });
    const events: { data?: Uint8Array }[] = [];
    obs.on('CustomEvent', (data) => events.push(data as { data?: Uint8Array }));
    for (let i = 0; i < 50; i++) {
      fake.emit('CustomEvent', { data: new Uint8Array(2_000).fill(i) });
      await obs.call('GetVersion');
    }
    expect(events.map(({ data }) => [data?.length, ...new Set(data)])).toEqual(
      Array.from({ length: 50 }, (_, i) => [2_000, i]),
    );
  });

  it('rejects and reports a call that it cannot encode', async () => {
    const { report, errors } = reports();
    let broken = false;
    const breaking = {
      decode,
      encode(value: unknown) {
        if (broken) throw new Error('no room');
        return encode(value);
      },
    };
    const { obs } = await connected({}, { encoding: breaking, report });
    broken = true;
    const error = await rejection(obs.call('GetVersion'));
    expect(error.message).toBe('no room');
    expect(errors).toEqual([error]);
  });

  it.each([
    ['undefined', undefined],
    ['Promise', Promise.resolve()],
  ])('rejects and reports a call when encode returns no bytes: %s', async (kind, wrong) => {
    const { report, errors } = reports();
    let broken = false;
    const breaking = { decode, encode: (value: unknown) => (broken ? wrong : encode(value)) };
    const { obs } = await connected({}, { encoding: breaking as never, report });
    broken = true;
    const error = await rejection(obs.call('GetVersion'));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toBe(`encoding.encode: expected bytes as the result, got ${kind}`);
    expect(errors).toEqual([error]);
  });

  it('sends the same values as JSON', async () => {
    const values = {
      at: new Date(0),
      none: undefined,
      list: [undefined, NaN],
      own: { toJSON: () => 1 },
    };
    const seen: unknown[] = [];
    for (const options of [{}, { encoding }]) {
      const { obs } = await connected(
        { respond: { CallVendorRequest: (data) => (seen.push(data), {}) } },
        options,
      );
      const data = { vendorName: 'x', requestType: 'y', requestData: values };
      await obs.call('CallVendorRequest', data as never);
    }
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[0]).toMatchObject({
      requestData: { at: '1970-01-01T00:00:00.000Z', list: [null, null], own: 1 },
    });
  });

  it('reports a message that it cannot decode', async () => {
    const { report, first } = reports();
    const { fake, obs } = await connected({}, { encoding, report });
    fake.sendRaw('\u0081');
    expect(await first).toMatchObject({ code: 'WS_ERR_OBS_PROTOCOL' });
    expect((await obs.call('GetVersion')).rpcVersion).toBe(1);
  });
});
