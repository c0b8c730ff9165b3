import { serve } from '@ws/node-server';
import { ObsCloseError, ObsProtocolError, ObsRequestError } from '@ws/obs';
import { connectV4, type ObsV4, type OpenOptions } from '@ws/obs/v4';
import { nothingUnhandled } from '@ws/tests';
import { FakeObsV4 } from '@ws/tests/obs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { rejection, reports, startFake } from './support.ts';

async function startV4(password?: string): Promise<FakeObsV4> {
  const fake = await FakeObsV4.start(password);
  onTestFinished(() => fake.close());
  return fake;
}

async function connected(options: OpenOptions = {}): Promise<{ fake: FakeObsV4; obs: ObsV4 }> {
  const fake = await startV4(options.password);
  const obs = await connectV4(fake.url, options);
  onTestFinished(() => void obs.close());
  return { fake, obs };
}

describe('the first program', () => {
  nothingUnhandled();

  it('lists the scenes, switches them, and reacts to events', async () => {
    const fake = await startV4('secret');
    const log: string[] = [];

    const obs = await connectV4(fake.url, { password: 'secret' });
    const { streaming } = await obs.send('GetStreamingStatus');
    log.push(`streaming: ${streaming}`);
    obs.on('SwitchScenes', (event) => log.push(`new scene: ${event['scene-name']}`));
    const { 'current-scene': current, scenes } = await obs.send('GetSceneList');
    for (const { name } of scenes) {
      log.push(`${name}${name === current ? ' (current)' : ''}`);
      await obs.send('SetCurrentScene', { 'scene-name': name }, { timeout: 2_000 });
    }
    // The event comes after the answer.
    await obs.send('GetVersion');
    await obs.close();

    expect(log).toEqual([
      'streaming: false',
      'Scene (current)',
      'new scene: Scene',
      'Camera',
      'new scene: Camera',
    ]);
  });
});

describe('connectV4', () => {
  nothingUnhandled();

  it('connects without a password', async () => {
    const { obs } = await connected();
    expect(await obs.send('GetStudioModeStatus')).toEqual({ 'studio-mode': false });
  });

  it.each([
    ['wrong', 'check the option password'],
    [undefined, 'use the option password'],
  ])('names the option for the password %o', async (password, message) => {
    const fake = await startV4('secret');
    const error = await rejection(connectV4(fake.url, { password }));
    expect(error).toBeInstanceOf(ObsRequestError);
    expect(error).toMatchObject({ requestType: 'Authenticate' });
    expect(error.message).toContain(message);
  });

  it('rejects obs-websocket 5', async () => {
    const fake = await startFake();
    const error = await rejection(connectV4(fake.url));
    expect(error).toBeInstanceOf(ObsProtocolError);
    expect(error.message).toContain('use connect of @ws/obs');
  });

  it('rejects an answer that does not say whether a password is required', async () => {
    const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) =>
      conn.receive(() => conn.send('{"message-id":"GetAuthRequired","status":"error"}')),
    );
    onTestFinished(() => server.close() as Promise<unknown> as Promise<void>);
    const error = await rejection(connectV4(server.url));
    expect(error).toBeInstanceOf(ObsProtocolError);
  });

  it('rejects a server that closes', async () => {
    const fake = await startFake({ hello: false });
    const error = await rejection(connectV4(fake.url));
    expect(error).toBeInstanceOf(ObsCloseError);
  });

  it('rejects unknown options', async () => {
    const error = await rejection(connectV4('ws://127.0.0.1:1', { rpcVersion: 1 } as never));
    expect(error.message).toContain('connectV4: unknown option rpcVersion');
  });
});

describe('ObsV4', () => {
  nothingUnhandled();

  it('rejects with an ObsRequestError for a refused request', async () => {
    const { obs } = await connected();
    const error = await rejection(obs.send('SetCurrentScene', { 'scene-name': 'Nowhere' }));
    expect(error).toBeInstanceOf(ObsRequestError);
    expect(error).toMatchObject({ comment: 'requested scene does not exist', status: 0 });
    expect(error.message).toBe(
      'websocket: OBS refused SetCurrentScene: requested scene does not exist',
    );
    const unknown = await rejection(obs.send('GetScenes' as never));
    expect(unknown).toMatchObject({ comment: 'invalid request type' });
  });

  it('rejects pending and later requests when OBS crashes', async () => {
    const { fake, obs } = await connected();
    fake.crash();
    expect(await rejection(obs.send('GetVersion'))).toBeInstanceOf(ObsCloseError);
    expect(await rejection(obs.send('GetVersion'))).toMatchObject({ closeCode: 1006 });
    expect((await obs.closed).code).toBe(1006);
  });

  it('rejects with the reason of its signal', async () => {
    const { obs } = await connected();
    const signal = AbortSignal.abort(new Error('enough'));
    const sent = obs.send('GetVersion', undefined, { signal });
    expect((await rejection(sent)).message).toBe('enough');
  });

  it.each([
    ['{', 'cannot be decoded'],
    ['{"x":1}', 'neither update-type nor message-id'],
    ['{"message-id":"x","status":"ok"}', 'an answer without a call'],
  ])('reports the message %s', async (text, message) => {
    const { report, first } = reports();
    const { fake, obs } = await connected({ report });
    fake.sendRaw(text);
    expect(await first).toMatchObject({ message: expect.stringContaining(message) as string });
    await obs.send('GetVersion');
  });

  it.each([
    [[1], 'send: expected the name of a request, got number'],
    [['GetVersion', 1], 'GetVersion: expected an object of fields, got number'],
    [['GetVersion', undefined, { wait: 1 }], 'send: unknown option wait'],
  ])('rejects and reports the arguments %o', async (args, message) => {
    const { report, errors } = reports();
    const { obs } = await connected({ report });
    const send = obs.send.bind(obs) as (...args: unknown[]) => Promise<unknown>;
    const error = await rejection(send(...args));
    expect(error.message).toContain(message);
    expect(errors).toEqual([error]);
  });

  it('closes at the end of await using', async () => {
    const { obs } = await connected();
    await obs[Symbol.asyncDispose]();
    expect((await obs.closed).code).toBe(1000);
  });
});
