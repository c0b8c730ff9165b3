// Each cell of the writer's table, by its state and event. These tests go by events from the beginning and look at
// what the peer and the callers have. They never read the table.
import { describe, expect, it } from 'vitest';
import { CloseSentError, TextMessage } from '../../src/index.ts';
import { wired } from '../wired.ts';

type Test = ReturnType<typeof wired>;

/** The name of the error with which a promise rejects; `sent` when it resolves. */
function end(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'sent',
    (error: Error) => error.name,
  );
}

/** A connection whose transport is blocked, with a message that waits because it may be aborted. */
async function queued(): Promise<Test & { abort: () => void; waiting: Promise<string> }> {
  const test = wired('server');
  await test.block('first');
  const controller = new AbortController();
  const waiting = end(test.conn.send('may abort', { signal: controller.signal }));
  return { ...test, waiting, abort: () => controller.abort() };
}

/** A connection whose transport has ended. */
async function closed(): Promise<Test> {
  const test = wired('server');
  await test.conn.nextWriter(TextMessage);
  test.conn.terminate();
  await test.platform.settle();
  return test;
}

describe('B5-cells: with nothing before it', () => {
  it('a message that must wait holds back later ones: IDLE, ADDED', async () => {
    const { conn, drain, sent, waiting } = await queued();
    const later = end(conn.send('later'));
    await drain();
    expect(sent()).toEqual(['text first', 'text may abort', 'text later']);
    expect([await waiting, await later]).toEqual(['sent', 'sent']);
  });

  it('a writer opens at once and holds back later messages: IDLE, OPENED', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    const later = end(conn.send('later'));
    expect(await output()).toEqual([]);
    await writer.close();
    expect(await output()).toEqual(['text', 'text later']);
    expect(await later).toBe('sent');
  });

  it('our close frame leaves at once: IDLE, EMPTIED and LAST', async () => {
    const { conn, output } = wired('server');
    await (await conn.nextWriter(TextMessage)).close();
    void conn.close();
    expect(await output()).toEqual(['text', 'close 1000']);
    await expect(conn.send('late')).rejects.toBeInstanceOf(CloseSentError);
    await expect(conn.nextWriter(TextMessage)).rejects.toBeInstanceOf(CloseSentError);
    expect(await output()).toHaveLength(2);
  });
});

describe('B5-cells: behind an open writer', () => {
  it('messages wait for its end, in order: OPEN, ADDED and ENDED', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    const ends = [end(conn.send('a')), end(conn.send('b'))];
    await writer.write('streamed');
    await writer.close();
    ends.push(end(conn.send('c')));
    expect(await output()).toEqual(['text streamed', 'text a', 'text b', 'text c']);
    expect(await Promise.all(ends)).toEqual(['sent', 'sent', 'sent']);
  });

  it('nothing waits once it has ended and no message was held back: OPEN, ENDED', async () => {
    const { conn, sent, platform } = wired('server');
    await (await conn.nextWriter(TextMessage)).close();
    await platform.settle();
    void conn.send('now');
    // A frame of three bytes and its header. A message that waits has no header.
    expect(conn.bufferedAmount).toBe(5);
    await platform.settle();
    expect(sent()).toEqual(['text', 'text now']);
  });

  it('an abort of the only waiting message opens no way past it: OPEN, EMPTIED', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    const controller = new AbortController();
    const aborted = end(conn.send('aborted', { signal: controller.signal }));
    controller.abort();
    const later = end(conn.send('later'));
    expect(await output()).toEqual([]);
    expect(await aborted).toBe('AbortError');
    await writer.close();
    expect(await output()).toEqual(['text', 'text later']);
    expect(await later).toBe('sent');
  });

  it('messages are refused at our close, and the writer is cut off: OPEN, LAST', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    const waiting = end(conn.send('waits'));
    void conn.close();
    expect(await waiting).toBe('CloseSentError');
    await expect(writer.write('late')).rejects.toBeInstanceOf(CloseSentError);
    expect(await output()).toEqual(['close 1000']);
  });
});

describe('B5-cells: behind a message that waits for a drain', () => {
  it('messages keep their order: QUEUED, ADDED', async () => {
    const { conn, drain, sent } = await queued();
    void conn.send('a');
    void conn.send('b', { signal: new AbortController().signal });
    void conn.send('c');
    await drain();
    expect(sent()).toEqual(['text first', 'text may abort', 'text a', 'text b', 'text c']);
  });

  it('a writer opens after it and holds back the messages after itself: QUEUED, OPENED', async () => {
    const { conn, drain, sent, output } = await queued();
    const opened = conn.nextWriter(TextMessage, { queue: true });
    void conn.send('after the writer');
    await drain();
    expect(sent()).toEqual(['text first', 'text may abort']);
    const writer = await opened;
    await writer.close();
    expect((await output()).slice(2)).toEqual(['text', 'text after the writer']);
  });

  it('an abort lets the next message go: QUEUED, EMPTIED', async () => {
    const { abort, conn, drain, sent, waiting } = await queued();
    abort();
    const before = conn.bufferedAmount;
    void conn.send('now');
    // A frame of three bytes and its header. A message that waits has no header.
    expect(conn.bufferedAmount - before).toBe(5);
    expect(await waiting).toBe('AbortError');
    await drain();
    expect(sent()).toEqual(['text first', 'text now']);
  });

  it('messages are sent before our close frame: QUEUED, EMPTIED and LAST', async () => {
    const { conn, drain, sent, waiting } = await queued();
    void conn.close();
    await drain();
    expect(sent()).toEqual(['text first', 'text may abort', 'close 1000']);
    expect(await waiting).toBe('sent');
  });

  it('messages are rejected when the connection ends: QUEUED, LAST', async () => {
    const { conn, platform, waiting } = await queued();
    const later = end(conn.send('later'));
    conn.terminate();
    await platform.settle();
    expect([await waiting, await later]).not.toContain('sent');
  });
});

describe('B5-cells: after the end of writing', () => {
  it('no call waits, with a signal or without: CLOSED, ADDED', async () => {
    const { conn } = await closed();
    expect(await end(conn.send('late'))).not.toBe('sent');
    const { signal } = new AbortController();
    expect(await end(conn.send('late', { signal }))).not.toBe('sent');
    expect(conn.bufferedAmount).toBe(0);
  });

  it('no writer opens: CLOSED, OPENED', async () => {
    const { conn } = await closed();
    expect(await end(conn.nextWriter(TextMessage))).not.toBe('sent');
    expect(await end(conn.nextWriter(TextMessage, { queue: true }))).not.toBe('sent');
  });

  it('the end of the writer that was cut off sends nothing: CLOSED, ENDED and EMPTIED', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    void conn.close();
    expect(await end(writer.close())).toBe('CloseSentError');
    expect(await end(conn.send('late'))).toBe('CloseSentError');
    expect(await output()).toEqual(['close 1000']);
  });

  it('the first error stays when the transport ends too: CLOSED, LAST', async () => {
    const { conn, platform } = wired('server');
    await conn.nextWriter(TextMessage);
    void conn.close();
    conn.terminate();
    await platform.settle();
    expect(await end(conn.send('late'))).toBe('CloseSentError');
  });
});
