// The client's offer of permessage-deflate, and its reading of answers (RFC 7692, section 7.1).
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib';
import { configureCompression } from '@ws/node-io';
import { afterEach, describe, expect, it } from 'vitest';
import { BadHandshakeError, Dialer, type DialerOptions } from '../src/index.ts';
import { rawServer, type SeenRequest } from './servers.ts';

afterEach(() => configureCompression({ memoryBudget: 64 * 1024 * 1024 }));

const NAMES: Readonly<Record<string, string>> = {
  pmd: 'permessage-deflate',
  sn: 'server_no_context_takeover',
  cn: 'client_no_context_takeover',
  sb: 'server_max_window_bits',
  cb: 'client_max_window_bits',
};

/** The tables abbreviate parameters: `pmd; sn; cb=10`. */
function full(short: string): string {
  return short.replace(/\b(pmd|sn|cn|sb|cb)\b/g, (name) => NAMES[name]!);
}

type Compression = DialerOptions['compression'];

/**
 * Dials a server that answers with these extensions; returns the offer and the outcome.
 */
async function dialed(
  compression: Compression,
  ...answers: string[]
): Promise<{ offered: string | undefined; extensions?: string; error?: BadHandshakeError }> {
  let request: SeenRequest | undefined;
  const server = await rawServer((socket, seen) => {
    request = seen;
    const lines = answers.map((answer) => `Sec-WebSocket-Extensions: ${full(answer)}\r\n`);
    socket.write(seen.ok(lines.join('')));
  });
  const offer = (): string | undefined =>
    /^sec-websocket-extensions: (.*)$/im.exec(request!.text)?.[1]?.trimEnd();
  try {
    const conn = await new Dialer({ compression }).dial(server.url);
    const { extensions } = conn;
    conn.terminate();
    await conn.closed;
    return { offered: offer(), extensions };
  } catch (error) {
    return { offered: offer(), error: error as BadHandshakeError };
  }
}

describe('a client’s offer of permessage-deflate', () => {
  it.each<[Compression, string | undefined]>([
    [undefined, undefined],
    [false, undefined],
    [true, 'pmd; sn; cn, pmd'],
    ['shared', 'pmd; sn; cn, pmd'],
    [{}, 'pmd; sn; cn, pmd'],
    ['takeover', 'pmd; cb'],
    [{ mode: 'takeover', clientMaxWindowBits: 9 }, 'pmd; cb=9'],
    [{ mode: 'takeover', clientMaxWindowBits: 15 }, 'pmd; cb'],
    [{ clientMaxWindowBits: 8 }, 'pmd; sn; cn; cb=8, pmd; cb=8'],
    [{ clientMaxWindowBits: 15 }, 'pmd; sn; cn; cb, pmd; cb'],
  ])('with %j is %s', async (compression, offer) => {
    const { offered, extensions } = await dialed(compression);
    expect(offered).toBe(offer === undefined ? undefined : full(offer));
    // Not answered: the connection has no compression.
    expect(extensions).toBe('');
  });

  it('asks for no takeover above the memory budget', async () => {
    configureCompression({ memoryBudget: 0 });
    expect((await dialed('takeover')).offered).toBe(full('pmd; sn; cn'));
  });
});

const TAKEOVER = 'takeover';
const SHARED = 'shared';
const NARROW = { mode: 'takeover', clientMaxWindowBits: 11 } as const;

describe('an answer to it', () => {
  it.each<[Compression, string]>([
    [TAKEOVER, 'pmd'],
    [TAKEOVER, 'pmd; sn'],
    [TAKEOVER, 'pmd; cn'],
    [TAKEOVER, 'pmd; sn; cn'],
    [TAKEOVER, 'pmd; sb=8'],
    [TAKEOVER, 'pmd; sb=15; cb=15'],
    [TAKEOVER, 'pmd; cb=8'],
    [TAKEOVER, 'pmd; sn; cn; sb=9; cb=10'],
    [TAKEOVER, 'pmd; sb="9"'],
    [TAKEOVER, 'pmd;sb=9;cb=10'],
    [SHARED, 'pmd; sn'],
    [SHARED, 'pmd; sn; cn'],
    [SHARED, 'pmd'],
    [SHARED, 'pmd; cn'],
    [SHARED, 'pmd; sb=9'],
    [{ clientMaxWindowBits: 15 }, 'pmd; sn; cb=12'],
    [NARROW, 'pmd; sb=10'],
    [NARROW, 'pmd; sb=8; cb=15'],
  ])('to %j: %s is taken', async (compression, answer) => {
    expect((await dialed(compression, answer)).extensions).toBe(full(answer));
  });

  it.each<[Compression, string, string]>([
    [TAKEOVER, 'pmd; sb', 'sb without a value'],
    [TAKEOVER, 'pmd; cb', 'cb without a value'],
    [TAKEOVER, 'pmd; sb=7', 'bad sb 7'],
    [TAKEOVER, 'pmd; sb=16', 'bad sb 16'],
    [TAKEOVER, 'pmd; cb=08', 'bad cb 08'],
    [TAKEOVER, 'pmd; cb="08"', 'bad cb 08'],
    [TAKEOVER, 'pmd; cb=1e1', 'bad cb 1e1'],
    [TAKEOVER, 'pmd; sb=-9', 'bad sb -9'],
    [TAKEOVER, 'pmd; sn=true', 'sn with a value'],
    [TAKEOVER, 'pmd; cn=""', 'malformed'],
    [TAKEOVER, 'pmd; sn; sn', 'repeated parameter'],
    [TAKEOVER, 'pmd; sb=9; sb=9', 'repeated parameter'],
    [TAKEOVER, 'pmd; nobody_knows', 'unknown parameter nobody_knows'],
    [TAKEOVER, 'pmd; sb=7; x=1', 'bad sb 7", "unknown parameter x'],
    [TAKEOVER, 'x-webkit-deflate-frame', 'x-webkit-deflate-frame is not pmd'],
    [TAKEOVER, 'Permessage-Deflate', 'Permessage-Deflate is not pmd'],
    [TAKEOVER, 'pmd, pmd', 'does not name one extension'],
    [TAKEOVER, 'pmd, x-other', 'does not name one extension'],
    [TAKEOVER, 'pmd;', 'malformed'],
    [TAKEOVER, 'pmd; sb=', 'malformed'],
    [TAKEOVER, 'pmd; sb="9', 'malformed'],
    [SHARED, 'pmd; sn; cb=12', 'cb was not offered'],
    [SHARED, 'pmd; cb=12', 'cb was not offered'],
    [false, 'pmd', 'was not offered'],
    [false, 'pmd; sn; cn', 'was not offered'],
  ])('to %j: %s fails the handshake, because %s', async (compression, answer, words) => {
    const { error } = await dialed(compression, answer);
    expect(error).toBeInstanceOf(BadHandshakeError);
    expect(error!.message).toContain(full(words));
    expect(error!.code).toBe('WS_ERR_BAD_HANDSHAKE');
  });

  it('without parameters leaves both sides free to refer back', async () => {
    // As tornado 6.2 does: it ignores parameters without a value.
    const server = await rawServer((socket, seen) => {
      const inflate = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH });
      const deflate = createDeflateRaw();
      inflate.on('data', (text: Buffer) => {
        deflate.write(text);
        deflate.flush(constants.Z_SYNC_FLUSH);
      });
      deflate.on('data', (piece: Buffer) => {
        const payload = piece.subarray(0, -4);
        socket.write(Buffer.concat([Buffer.of(0xc1, payload.length), payload]));
      });
      socket.on('data', (frame) => {
        if ((frame[0]! & 0x40) === 0) return;
        const key = frame.subarray(2, 6);
        const payload = frame.subarray(6).map((byte, i) => byte ^ key[i % 4]!);
        inflate.write(Buffer.concat([payload, Buffer.of(0, 0, 0xff, 0xff)]));
      });
      socket.write(seen.ok(`Sec-WebSocket-Extensions: ${full('pmd')}\r\n`));
    });
    const conn = await new Dialer({ compression: { threshold: 0 } }).dial(server.url);
    for (let i = 0; i < 3; i++) {
      await conn.send(`hello hello hello hello ${i}`);
      expect((await conn.readMessage()).text()).toBe(`hello hello hello hello ${i}`);
    }
    conn.terminate();
  });

  it('in two lines is a fault', async () => {
    const { error } = await dialed(TAKEOVER, 'pmd', 'pmd; sn');
    expect(error!.message).toContain('does not name one extension');
  });
});
