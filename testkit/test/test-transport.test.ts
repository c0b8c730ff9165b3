import { hex, RecordingSink, TestTransport, toHex, turn } from '@ws/testkit';
import { describe, expect, it } from 'vitest';

function started(
  options?: ConstructorParameters<typeof TestTransport>[0],
): [TestTransport, RecordingSink] {
  const transport = new TestTransport(options);
  const sink = new RecordingSink();
  transport.start(sink);
  return [transport, sink];
}

describe('TestTransport', () => {
  it('keeps a copy of what is written, and releases it at once', () => {
    const [transport] = started();
    const bytes = hex`01 02`;
    let released = 0;
    expect(transport.write(bytes, () => released++)).toBe(true);
    bytes[0] = 9;
    transport.write(hex`03`);
    expect(toHex(transport.sent)).toBe('01 02 03');
    expect(toHex(transport.takeSent())).toBe('01 02 03');
    expect(transport.writes).toEqual([]);
    expect([released, transport.releasesGiven, transport.releasesRun]).toEqual([1, 1, 1]);
  });

  it('holds the bytes while it is blocked, and drains when told', () => {
    const [transport, sink] = started({ highWaterMark: 2 });
    const released: string[] = [];
    transport.block();
    expect(transport.write(hex`0102`, () => released.push('first'))).toBe(true);
    expect(transport.write(hex`03`, () => released.push('second'))).toBe(false);
    expect(transport.bufferedAmount).toBe(3);
    transport.drain(1);
    expect([released, sink.calls]).toEqual([['first'], []]);
    transport.drain();
    expect([released, sink.calls]).toEqual([['first', 'second'], ['drain']]);
    expect(transport.write(hex`04`)).toBe(true);
  });

  it('throws when bytes change before they were released', () => {
    const [transport] = started();
    transport.block();
    const bytes = hex`01`;
    transport.write(bytes, () => {});
    bytes[0] = 2;
    expect(() => transport.drain()).toThrow('written bytes were changed');
  });

  it('feeds copies, in order, and waits while paused', async () => {
    const [transport, sink] = started();
    const bytes = hex`01`;
    sink.onData = (chunk) => void chunk.fill(0xff);
    transport.feed(bytes);
    transport.pause();
    transport.pause();
    transport.feed('02');
    transport.feedEnd();
    expect(transport.paused).toBe(true);
    transport.feedLate('aa');
    transport.resume();
    transport.resume();
    expect(toHex(sink.received)).toBe('01 aa');
    await turn();
    expect(toHex(sink.received)).toBe('01 aa 02');
    expect(sink.calls).toEqual(['data', 'data', 'data', 'end']);
    expect(bytes).toEqual(hex`01`);
  });

  it('closes once both halves have ended and nothing is held', async () => {
    const [transport, sink] = started();
    transport.block();
    transport.write(hex`01`);
    transport.end();
    transport.feedEnd();
    await turn();
    expect(transport.closed).toBe(false);
    transport.drain();
    await turn();
    expect(transport.closed).toBe(true);
    expect(sink.calls).toEqual(['end', 'drain', 'close']);
  });

  it('breaks with an error, and releases what it held', async () => {
    const [transport, sink] = started();
    transport.block();
    transport.write(hex`01`, () => {});
    const error = new Error('reset');
    transport.break(error);
    transport.break();
    await turn();
    expect([sink.calls, sink.error]).toEqual([['close'], error]);
    expect(transport.releasesRun).toBe(1);
  });

  it('writes nothing once it was ended or destroyed', async () => {
    const [transport, sink] = started();
    transport.end();
    transport.write(hex`01`, () => {});
    const error = new Error('enough');
    transport.destroy(error);
    transport.destroy();
    transport.write(hex`01`);
    await turn();
    expect([transport.writes, transport.ignoredWrites, transport.releasesRun]).toEqual([[], 2, 1]);
    expect([transport.destroyError, sink.error]).toEqual([error, error]);
    expect(sink.count('close')).toBe(1);
  });

  it('is started once, and feeds nobody before', () => {
    const [transport] = started();
    expect(() => transport.start(new RecordingSink())).toThrow('twice');
    expect(() => new TestTransport().feed('00')).toThrow('not started');
  });
});
