import {
  FrameDecoder,
  FrameHeader,
  negotiateDeflate,
  ProtocolError,
  parseCloseMessage,
  parseTokenList,
  utf8Step,
} from '@ws/codec';
import { Conn, type DeflateSource, type Transport } from '@ws/conn';
import { nodeDeflate } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { type Finding, minimise } from '../harness/finding.ts';
import { Fuzzer } from '../harness/fuzzer.ts';
import type { Target } from '../harness/target.ts';
import { apiSequence } from '../targets/api-sequence.ts';
import { clientReply } from '../targets/client-reply.ts';
import { closePayload } from '../targets/close-payload.ts';
import { extensionsHeader } from '../targets/extensions-header.ts';
import { frameHeader } from '../targets/frame-header.ts';
import { frameStream } from '../targets/frame-stream.ts';
import { inflate } from '../targets/inflate.ts';
import { serverHandshake } from '../targets/server-handshake.ts';
import { subprotocolHeader } from '../targets/subprotocol-header.ts';
import { utf8 } from '../targets/utf8.ts';

// One rule is taken out of what a target tests; the target has to find that by itself, from its seeds, in a number of
// executions that takes it seconds.

/** Takes a length in more bytes than it needs for one that is not whole yet. */
class LaxHeader extends FrameHeader {
  override read(bytes: Uint8Array, start?: number, end?: number): number {
    try {
      return super.read(bytes, start, end);
    } catch (error) {
      if (error instanceof ProtocolError && error.faults.includes('non-minimal length')) return 0;
      throw error;
    }
  }
}

/** Never says that there is room again. */
function withoutDrain(transport: Transport): Transport {
  const start = transport.start.bind(transport);
  transport.start = (sink) =>
    start({
      data: (chunk) => sink.data(chunk),
      drain: () => {},
      end: () => sink.end(),
      close: (error) => sink.close(error),
    });
  return transport;
}

/** Forgets what a stream may refer back to. */
const forgetful: DeflateSource = {
  inflater() {
    const inflater = nodeDeflate.inflater();
    const reset = inflater.reset.bind(inflater);
    inflater.reset = () => reset(undefined);
    return inflater;
  },
  deflater: (level, windowBits) => nodeDeflate.deflater(level, windowBits),
  deflateLater: (job, done) => nodeDeflate.deflateLater(job, done),
  memoryBudget: nodeDeflate.memoryBudget,
  generation: 0,
};

const planted: [says: string, target: Target, executions: number][] = [
  ['a length that is not minimal', frameHeader(() => new LaxHeader()), 60_000],
  [
    'RSV3 without an extension',
    frameStream((options) => {
      return new FrameDecoder({ ...options, allowedRsv: (options.allowedRsv ?? 0) | 0x10 });
    }),
    60_000,
  ],
  [
    'a character that is cut after its first byte',
    utf8((state, ...rest) => utf8Step(state === 2 ? 1 : state, ...rest)),
    60_000,
  ],
  [
    'a close code that must not travel',
    closePayload((payload) => {
      const [high, low] = payload;
      if (high === 0x03 && low === 0xf7) return { code: 1015, reason: '' };
      return parseCloseMessage(payload);
    }),
    60_000,
  ],
  [
    'a repeated parameter',
    extensionsHeader(undefined, (offers, limits) => {
      const lax = offers.map(({ name, params }) => ({ name, params }));
      return negotiateDeflate(lax, limits);
    }),
    60_000,
  ],
  [
    'a subprotocol that is offered twice',
    subprotocolHeader((text) => {
      const names = parseTokenList(text);
      return text.length > 4096 || (names?.length ?? 0) > 64 ? undefined : names;
    }),
    60_000,
  ],
  [
    'a second key',
    serverHandshake((upgrader, onConn) => {
      const listener = upgrader.handler(onConn);
      return (req, socket, head) => {
        const isKey = (name: string | undefined): boolean =>
          name?.toLowerCase() === 'sec-websocket-key';
        const first = req.rawHeaders.findIndex((name, i) => i % 2 === 0 && isKey(name));
        for (let i = req.rawHeaders.length - 2; i > first; i -= 2) {
          if (isKey(req.rawHeaders[i])) req.rawHeaders.splice(i, 2);
        }
        listener(req, socket, head);
      };
    }),
    20_000,
  ],
  [
    'a 101 of HTTP/1.0',
    clientReply((handshake) => (stream, ...rest) => {
      const socket = stream as unknown as { push(chunk: Uint8Array | null): boolean };
      const push = socket.push.bind(socket);
      socket.push = (chunk) => {
        const text = chunk === null ? '' : Buffer.from(chunk).toString('latin1');
        if (!text.startsWith('HTTP/1.0 101')) return push(chunk);
        return push(Buffer.from(text.replace('1.0', '1.1'), 'latin1'));
      };
      return handshake(stream, ...rest);
    }),
    20_000,
  ],
  ['a history that is forgotten', inflate(forgetful), 3_000],
  [
    'a transport whose drain is not heard',
    apiSequence((transport, options) => new Conn(withoutDrain(transport), options)),
    3_000,
  ],
];

// What is found by which seed changes with the code that is covered: a search that takes a wrong turn early begins anew.
const SEEDS = [1, 2, 3, 4, 5, 6];

/** Runs a target until it finds something, or has had its executions from every seed. */
async function hunt(target: Target, executions: number): Promise<Finding | undefined> {
  for (const seed of SEEDS) {
    const fuzzer = new Fuzzer(target, { seed, corpus: [], slow: 60_000 });
    let finding = await fuzzer.start();
    while (finding === undefined && fuzzer.executions < executions) finding = await fuzzer.batch();
    fuzzer.stop();
    if (finding !== undefined) return finding;
  }
  return undefined;
}

describe('a planted bug', () => {
  it.each(planted)('is found: %s', { timeout: 300_000 }, async (_, target, executions) => {
    const finding = await hunt(target, executions);
    expect(finding).toBeDefined();
    // The input alone breaks it again, made smaller too.
    const breaks = async (input: Uint8Array): Promise<boolean> => {
      try {
        await target.run(input);
        return false;
      } catch {
        return true;
      }
    };
    const smaller = await minimise(finding!.input, breaks, 30);
    expect(smaller.length).toBeLessThanOrEqual(finding!.input.length);
    expect(await breaks(smaller)).toBe(true);
  });
});
