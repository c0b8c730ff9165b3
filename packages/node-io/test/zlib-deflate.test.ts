import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import * as zlib from 'node:zlib';
import { deflateWith, inflateWith } from '@ws/tests';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { HandleInflater } from '../src/deflate/handle-inflater.ts';
import { SyncInflater } from '../src/deflate/sync-inflater.ts';
import type { ZlibModule } from '../src/deflate/zlib-handle.ts';
import {
  compressionBackend,
  configureCompression,
  type Diagnostics,
  nodeDeflate,
  nodePlatform,
} from '../src/index.ts';
import { ZlibDeflate } from '../src/zlib-deflate.ts';

type Args = [number, Uint8Array, number, number, Uint8Array, number, number];

type Listener = (message: string, errno: number, code: string) => void;

/** The internals of a zlib stream of Node. */
interface Internals {
  readonly _handle: {
    writeSync(...args: Args): void;
    reset(): void;
    onerror: Listener;
  } | null;
  readonly _writeState: Uint32Array;
  on(event: 'error', listener: () => void): void;
  close(): void;
}

/** The same, writable. */
interface Seams {
  present: boolean;
  left: Uint32Array | undefined;
  write: (...args: Args) => void;
  reset: () => void;
  listen: (listener: Listener) => void;
}

/** zlib's streams with internals that differ from Node's. */
function tampered(change: (seams: Seams) => void, which = 'both'): ZlibModule {
  const changed = (stream: unknown): never => {
    const real = stream as Internals;
    const handle = real._handle!;
    const seams: Seams = {
      present: true,
      left: real._writeState,
      write: (...args) => handle.writeSync(...args),
      reset: () => handle.reset(),
      listen: (listener) => (handle.onerror = listener),
    };
    change(seams);
    const ours = {
      writeSync: seams.write,
      reset: seams.reset,
      set onerror(listener: Listener) {
        seams.listen(listener);
      },
    };
    const copy = {
      get _handle() {
        return real._handle !== null && seams.present ? ours : undefined;
      },
      _writeState: seams.left,
      on: (...args: Parameters<Internals['on']>) => real.on(...args),
      close: () => real.close(),
    };
    return copy as never;
  };
  return {
    ...zlib,
    createInflateRaw(options) {
      const stream = zlib.createInflateRaw(options);
      return which === 'deflate' ? stream : changed(stream);
    },
    createDeflateRaw(options) {
      const stream = zlib.createDeflateRaw(options);
      return which === 'inflate' ? stream : changed(stream);
    },
  };
}

/** The options of a runtime that does not know `maxOutputLength`. */
function without(options: zlib.ZlibOptions): zlib.ZlibOptions {
  return { ...options, maxOutputLength: 2 ** 30 };
}

function rewrite(args: (...args: Args) => Args): (seams: Seams) => void {
  return (seams) => {
    const { write } = seams;
    seams.write = (...given) => write(...args(...given));
  };
}

const { Z_BLOCK, Z_MEM_ERROR, Z_NO_FLUSH, Z_SYNC_FLUSH } = zlib.constants;

// biome-ignore format: a table
const platforms: Record<string, ZlibModule> = {
  'has no handle': tampered((seams) => (seams.present = false)),
  'has no state of a write': tampered((seams) => (seams.left = undefined)),
  'has handles that throw': tampered((seams) => {
    seams.write = () => {
      throw new TypeError('no');
    };
  }),
  'cannot make streams': {
    ...zlib,
    createInflateRaw() {
      throw new Error('no memory');
    },
  },
  'does not reset an inflater': tampered((seams) => (seams.reset = () => {}), 'inflate'),
  'does not reset a deflater': tampered((seams) => (seams.reset = () => {}), 'deflate'),
  'tells only the stream of errors': tampered((seams) => (seams.listen = () => {}), 'inflate'),
  'knows no Z_BLOCK': tampered(rewrite((flush, ...rest) => [flush === Z_BLOCK ? Z_SYNC_FLUSH : flush, ...rest]), 'inflate'),
  'does not flush': tampered(rewrite((_, ...rest) => [Z_NO_FLUSH, ...rest]), 'deflate'),
  'writes where it likes': tampered(rewrite((flush, input, from, size, output, _, room) => [flush, input, from, size, output, 0, room]), 'inflate'),
  'tells wrong counts': tampered((seams) => (seams.left = new Uint32Array(2))),
};

describe('ZlibDeflate', () => {
  it('uses the handle when it works', () => {
    const source = new ZlibDeflate(tampered(() => {}));
    expect(source.backend).toBe('handle');
    expect(source.inflater()).toBeInstanceOf(HandleInflater);
  });

  it('creates no streams before its first use', () => {
    let made = 0;
    const source = new ZlibDeflate(tampered(() => made++));
    source.configure({ memoryBudget: 1, backend: 'auto' });
    source.configure({ backend: 'sync' });
    source.inflater().close();
    expect([source.backend, made]).toEqual(['sync', 0]);
    source.configure({ backend: 'auto' });
    source.inflater().close();
    expect([source.backend, made]).toEqual(['handle', 3]);
  });

  it.each(Object.entries(platforms))(
    'uses the synchronous functions when zlib %s',
    (_, streams) => {
      const source = new ZlibDeflate(streams);
      const inflater = source.inflater();
      expect([source.backend, source.inflates]).toEqual(['sync', 'messages']);
      expect(inflater).toBeInstanceOf(SyncInflater);
      const deflater = source.deflater(1, 15);
      deflater.reset();
      inflater.reset(undefined);
      const message = deflateWith(deflater, Buffer.from('Hello')).subarray(0, -4);
      expect(inflateWith(inflater, message).plain.toString()).toBe('Hello');
    },
  );

  it.each<[string, Partial<ZlibModule>]>(
    // biome-ignore format: a table
    [
      ['has no bound', { inflateRawSync: (input, options) => zlib.inflateRawSync(input, without(options)) }],
      [
        'has a bound that it applies at the end',
        {
          inflateRawSync(input, options) {
            const result = zlib.inflateRawSync(input, without(options)) as never as {
              buffer: Buffer;
            };
            if (result.buffer.length <= options.maxOutputLength!) return result;
            throw Object.assign(new RangeError(), { code: 'ERR_BUFFER_TOO_LARGE' });
          },
        },
      ],
      ['counts no input', { inflateRawSync: (input) => zlib.inflateRawSync(input) }],
      ['does not flush', { deflateRawSync: (input, options) => zlib.deflateRawSync(input, { ...options, finishFlush: zlib.constants.Z_FINISH }) }],
      [
        'throws',
        {
          deflateRawSync() {
            throw new Error('no');
          },
        },
      ],
    ],
  )('has no engines when it also %s', (_, functions) => {
    const source = new ZlibDeflate({ ...platforms['has no handle']!, ...functions });
    expect([source.backend, source.inflates]).toEqual([undefined, 'nothing']);
    expect(() => source.configure({ backend: 'sync' })).toThrow(
      "backend: 'sync' does not work on this platform; use 'auto'",
    );
  });

  it('publishes once that the handle does not work, and why', () => {
    const failed: Diagnostics['@ws:compression:fail'][] = [];
    const source = new ZlibDeflate(platforms['tells wrong counts']);
    const listener = (event: unknown): void => {
      failed.push(event as Diagnostics['@ws:compression:fail']);
      // A subscriber may look at the result.
      expect(source.backend).toBe('sync');
    };
    subscribe('@ws:compression:fail', listener);
    onTestFinished(() => void unsubscribe('@ws:compression:fail', listener));
    source.inflater().close();
    source.deflater(1, 15).close();
    source.configure({ backend: 'auto' });
    source.inflater().close();
    expect(failed).toEqual([{ error: expect.any(Error) }]);
    expect(String(failed[0]!.error)).toContain('self-test of zlib');
  });

  it('publishes nothing when the handle works, or when sync was set', () => {
    const failed: unknown[] = [];
    const listener = (event: unknown): void => void failed.push(event);
    subscribe('@ws:compression:fail', listener);
    onTestFinished(() => void unsubscribe('@ws:compression:fail', listener));
    new ZlibDeflate().inflater().close();
    const source = new ZlibDeflate(platforms['has no handle']);
    source.configure({ backend: 'sync' });
    source.inflater().close();
    expect(failed).toEqual([]);
  });

  it('rejects the handle when it does not work, and stays as it was', () => {
    const source = new ZlibDeflate(platforms['tells only the stream of errors']);
    expect(() => source.configure({ backend: 'handle', memoryBudget: 5 })).toThrow(
      "backend: 'handle' does not work on this platform; use 'auto'",
    );
    expect([source.backend, source.memoryBudget]).toEqual(['sync', 64 * 1024 * 1024]);
  });

  it('throws when zlib fails without a fault of the peer', () => {
    let fail = false;
    const source = new ZlibDeflate(
      tampered((seams) => {
        const { write, listen } = seams;
        let tell: Listener = () => {};
        seams.listen = (listener) => {
          tell = listener;
          listen(listener);
        };
        seams.write = (...args) => {
          if (fail) tell('out of memory', Z_MEM_ERROR, 'Z_MEM_ERROR');
          else write(...args);
        };
      }),
    );
    const inflater = source.inflater();
    const deflater = source.deflater(1, 15);
    expect(source.backend).toBe('handle');
    fail = true;
    const room = new Uint8Array(100);
    expect(() => inflater.write(room, 0, 1, true, room, 0, 100, 100)).toThrow('out of memory');
    expect(() => deflater.write(room, 0, 1, true, room, 0, 100)).toThrow('out of memory');
    const history = { length: 5, copyTo: () => {} };
    expect(() => inflater.reset(history)).toThrow('out of memory');
    fail = false;
    inflater.reset(undefined);
    expect(inflateWith(inflater, Buffer.from('f248cdc9c90700', 'hex')).plain.toString()).toBe(
      'Hello',
    );
  });

  it('accepts a second close of an engine', () => {
    for (const backend of ['handle', 'sync'] as const) {
      const source = new ZlibDeflate();
      source.configure({ backend });
      for (const engine of [source.inflater(), source.deflater(1, 15)]) {
        engine.close();
        expect(() => engine.close()).not.toThrow();
      }
    }
  });
});

describe('configureCompression', () => {
  afterEach(() => configureCompression({ backend: 'auto', memoryBudget: 64 * 1024 * 1024 }));

  it('sets the backend of later engines', () => {
    const before = nodeDeflate.inflater();
    configureCompression({ backend: 'sync' });
    expect(compressionBackend()).toBe('sync');
    expect(before).toBeInstanceOf(HandleInflater);
    expect(nodeDeflate.inflater()).not.toBeInstanceOf(HandleInflater);
    configureCompression({ backend: 'handle' });
    expect(compressionBackend()).toBe('handle');
    expect(nodeDeflate.inflater()).toBeInstanceOf(HandleInflater);
    before.close();
  });

  it('sets the budget, and leaves other settings unchanged', () => {
    expect(nodePlatform.deflate).toBe(nodeDeflate);
    expect(nodeDeflate.memoryBudget).toBe(64 * 1024 * 1024);
    configureCompression({ memoryBudget: 0, backend: 'sync' });
    expect(nodeDeflate.memoryBudget).toBe(0);
    configureCompression({ memoryBudget: false });
    expect([nodeDeflate.memoryBudget, compressionBackend()]).toEqual([Infinity, 'sync']);
    configureCompression({ backend: undefined, memoryBudget: undefined });
    expect([nodeDeflate.memoryBudget, compressionBackend()]).toEqual([Infinity, 'sync']);
  });

  it.each([
    [null, TypeError, 'configureCompression: expected an object of options, got null'],
    [7, TypeError, 'configureCompression: expected an object of options, got number'],
    [{ budget: 1 }, TypeError, 'unknown option budget; known options: memoryBudget, backend'],
    [{ backend: 'fast' }, TypeError, 'backend: expected one of auto, handle, sync, got fast'],
    [{ backend: 1 }, TypeError, 'backend: expected one of auto, handle, sync, got number'],
    [{ memoryBudget: '1' }, TypeError, 'memoryBudget: expected a number or false, got string'],
    [{ memoryBudget: true }, TypeError, 'memoryBudget: expected a number or false, got boolean'],
    [{ memoryBudget: -1 }, RangeError, 'memoryBudget: expected a whole number of 0 or more'],
    [{ memoryBudget: 1.5 }, RangeError, 'memoryBudget: expected a whole number of 0 or more'],
    [{ memoryBudget: NaN }, RangeError, 'memoryBudget: expected a whole number of 0 or more'],
  ])('rejects %j', (settings, kind, message) => {
    const call = () => configureCompression(settings as object);
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
    expect([nodeDeflate.memoryBudget, compressionBackend()]).toEqual([64 * 1024 * 1024, 'handle']);
  });
});
