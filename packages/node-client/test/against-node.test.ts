// The dialer opens no connection that node:http refuses, and reads the same answer.
// `WS_HEAD_RUNS` sets the number of answers.
import { type IncomingMessage, request } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import type { ResponseHead } from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DialScope } from '../src/dial-scope.ts';
import { askForResponse, incomingHeaders } from '../src/response.ts';

const numRuns = Number(process.env['WS_HEAD_RUNS'] ?? 300);
const timeout = 10_000 + 20 * numRuns;

/** What a client read. */
interface Read {
  readonly status: number;
  readonly upgraded: boolean;
  readonly headers: object;
  /** The bytes after a 101. */
  readonly frames: string;
}

/** Resolves when no more bytes move between the ends of a pair in memory. */
async function settled(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise(setImmediate);
}

/** Sends `chunks` to a client and returns what it read; undefined when it failed or waits. */
async function readBy(
  client: (stream: Duplex, read: (answer: Read) => void) => void,
  chunks: readonly Buffer[],
): Promise<Read | undefined> {
  const [ours, theirs] = duplexPair();
  for (const end of [ours, theirs]) end.on('error', () => {});
  let answer: Read | undefined;
  client(ours, (read) => {
    answer ??= read;
  });
  await settled();
  for (const chunk of chunks) theirs.write(chunk);
  await settled();
  theirs.end();
  await settled();
  ours.destroy();
  theirs.destroy();
  return answer;
}

const TEXT = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

function byDialer(stream: Duplex, read: (answer: Read) => void): void {
  askForResponse(stream, TEXT, false, new DialScope(Infinity, undefined)).then(
    ({ status, facts, headers, early }) => {
      const opens = status === 101 && (facts as ResponseHead).wantsWebSocket;
      read({ status, upgraded: opens, headers, frames: opens ? early.toString('latin1') : '' });
    },
    () => {},
  );
}

function byNode(stream: Duplex, read: (answer: Read) => void): void {
  const onAnswer =
    (upgraded: boolean) =>
    ({ statusCode: status = 0, headers }: IncomingMessage, _stream?: Duplex, head?: Buffer) =>
      read({ status, upgraded, headers, frames: head?.toString('latin1') ?? '' });
  request({
    createConnection: () => stream,
    headers: { Connection: 'Upgrade', Upgrade: 'websocket' },
    insecureHTTPParser: false,
    maxHeaderSize: 16 * 1024,
  })
    .on('upgrade', onAnswer(true))
    .on('response', onAnswer(false))
    .on('error', () => {})
    .end();
}

const OPEN = 'HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAccept: x\r\n\r\n';
const WHOLE: readonly string[] = [
  `${OPEN}\x81\x02hi`,
  `HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n${OPEN}`,
  OPEN.replace('Upgrade\r\nA', 'keep-alive, Upgrade\r\nA'),
  'HTTP/1.1 403 No\r\nContent-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nno',
  'HTTP/1.1 426 Up\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: a\r\nX: b\r\n\r\nno',
  'HTTP/1.0 401\r\nTransfer-Encoding: chunked\r\nAge: 1\r\nAge: 2\r\n\r\n2\r\nno\r\n0\r\n\r\n',
];
const PIECES: readonly string[] = [
  '\r\n',
  '\n',
  '\r',
  '\t',
  ' ',
  '\0',
  ',',
  ':',
  '\x80',
  'Connection: close\r\n',
  'connection: x, UPGRADE\r\n',
  'Upgrade: h2c\r\n',
  'Content-Length: 4\r\n',
  'Transfer-Encoding: chunked\r\n',
  'HTTP/1.1 100 C\r\n\r\n',
];

/** An answer with up to three pieces inserted or written over bytes, cut into chunks. */
const answers: fc.Arbitrary<readonly Buffer[]> = fc
  .tuple(
    fc.constantFrom(...WHOLE),
    fc.array(fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom(...PIECES)), { maxLength: 3 }),
    fc.array(fc.nat(), { maxLength: 2 }),
  )
  .map(([whole, changes, cuts]) => {
    let text = whole;
    for (const [place, removed, piece] of changes) {
      const at = place % (text.length + 1);
      // At the start of a line a piece changes less, so it has more effect.
      const from = piece.endsWith('\r\n') ? text.lastIndexOf('\n', at) + 1 : at;
      text = text.slice(0, from) + piece + text.slice(piece.length > 2 ? from : from + removed);
    }
    const bytes = Buffer.from(text, 'latin1');
    const at = [0, ...cuts.map((cut) => cut % bytes.length), bytes.length].toSorted(
      (a, b) => a - b,
    );
    return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
  });

describe('an answer that the dialer reads', () => {
  it(
    'is read in the same way by node:http',
    async () => {
      let opened = 0;
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(answers, async (chunks) => {
          const ours = await readBy(byDialer, chunks);
          // node:http does not find a token beside a tab, which RFC 9110, section 5.6.3, allows.
          if (ours === undefined) return;
          if (/^connection:[^\r\n]*\t/im.test(Buffer.concat(chunks).toString('latin1'))) return;
          if (ours.upgraded) opened++;
          else refused++;
          const nodes = await readBy(byNode, chunks);
          expect(nodes).toBeDefined();
          // node:http emits 'upgrade' for any protocol.
          expect(ours).toEqual(ours.upgraded ? nodes : { ...nodes, upgraded: false, frames: '' });
        }),
        { numRuns },
      );
      expect(opened).toBeGreaterThan(numRuns / 20);
      expect(refused).toBeGreaterThan(numRuns / 20);
    },
    timeout,
  );
});

describe('incomingHeaders', () => {
  it('joins and drops repeated lines as node:http does', async () => {
    const names = [
      'Age Authorization Content-Type ETag Expires From Host If-Modified-Since Last-Modified',
      'If-Unmodified-Since Location Max-Forwards Proxy-Authorization Referer Retry-After Server',
      'User-Agent Cookie Set-Cookie Date Vary Via WWW-Authenticate X-A __proto__ constructor',
    ].flatMap((row) => row.split(' '));
    const lines = names.flatMap((name) => [`${name}: 1`, `${name.toUpperCase()}: 2`]);
    const answer = Buffer.from(`HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n`);
    const nodes = await readBy(byNode, [answer]);
    const pairs = lines.map((line) => line.split(': ') as [string, string]);
    expect(incomingHeaders(pairs)).toStrictEqual(nodes?.headers);
  });
});
