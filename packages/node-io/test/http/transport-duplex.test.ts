import { once } from 'node:events';
import type { TransportSink } from '@ws/conn';
import { turn } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { TransportDuplex } from '../../src/internal.ts';

/** A started Duplex, and the sink of its transport. */
function started(): { duplex: TransportDuplex; sink: TransportSink } {
  let sink!: TransportSink;
  const duplex = new TransportDuplex({
    start: (given) => void (sink = given),
    write: (_chunk, release) => {
      release?.();
      return true;
    },
    bufferedAmount: 0,
    pause() {},
    resume() {},
    end() {},
    destroy() {},
  });
  duplex.on('error', () => {});
  duplex.start();
  return { duplex, sink };
}

describe('TransportDuplex', () => {
  it('delivers the bytes before a clean end to a reader that comes later', async () => {
    const { duplex, sink } = started();
    sink.data(Buffer.from('hello'), 5);
    sink.end();
    sink.close(undefined);
    await turn();
    expect(duplex.destroyed).toBe(false);
    let text = '';
    duplex.on('data', (chunk) => (text += String(chunk)));
    await once(duplex, 'close');
    expect(text).toBe('hello');
  });

  it.each([
    ['an error', new Error('reset'), true],
    ['no end', undefined, false],
  ])('drops unread bytes after %s', async (_, error, ends) => {
    const { duplex, sink } = started();
    sink.data(Buffer.from('hello'), 5);
    if (ends) sink.end();
    sink.close(error);
    await new Promise((closed) => duplex.once('close', closed));
    expect(duplex.errored ?? undefined).toBe(error);
  });
});
