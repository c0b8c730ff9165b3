import { Deferred } from '@ws/conn/internal';
import { describe, expect, it } from 'vitest';
import { Origins } from '../../src/backplane/origins.ts';

const origin = (except?: ReadonlySet<object>) => ({ except, returned: new Deferred<void>() });

describe('Origins', () => {
  it('keeps at most 10,000 of a channel, and resolves the oldest one', async () => {
    const origins = new Origins();
    const oldest = origin();
    origins.add(1, oldest);
    for (let counter = 2; counter <= 10_000; counter++) origins.add(counter, origin());
    expect(origins.returning()).toHaveLength(10_000);
    origins.add(10_001, origin());
    await oldest.returned.promise;
    expect(origins.returning()).toHaveLength(10_000);
    expect(origins.returned(1)).toBeUndefined();
    expect(origins.returned(2)).toBeDefined();
  });

  it('leaves out a session that joined after the message, until a later one has returned', () => {
    const origins = new Origins();
    const [session, excepted] = [{}, {}];
    origins.add(5, origin(new Set([excepted])));
    origins.joined(session, false, 5);
    origins.add(6, origin());
    expect(origins.returned(5)?.except).toEqual(new Set([excepted, session]));
    expect(origins.returned(6)?.except).toBeUndefined();
    expect(origins.returned(6)).toBeUndefined();
  });

  it('gives a session that resumes the messages of before', () => {
    const origins = new Origins();
    const session = {};
    origins.add(5, origin());
    origins.joined(session, false, 5);
    origins.joined(session, true, 5);
    expect(origins.returned(5)?.except).toBeUndefined();
  });

  it('resolves each message that a later one has overtaken', async () => {
    const origins = new Origins();
    const [lost, next] = [origin(), origin()];
    origins.add(1, lost);
    origins.add(2, next);
    origins.returned(2);
    await lost.returned.promise;
    expect(origins.returning()).toEqual([]);
  });
});
