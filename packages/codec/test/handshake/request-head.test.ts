import { checkRequest, RequestHead, ResponseHead } from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cut, join } from '../support.ts';
import { REQUEST, RESPONSE, requests, responses } from './heads.ts';

const FRAME = Uint8Array.of(0x81, 0x80, 1, 2, 3, 4);
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

/** A request with other header lines. */
function request(...lines: string[]): Uint8Array {
  return bytes(['GET / HTTP/1.1', 'Host: h', ...lines, '\r\n'].join('\r\n'));
}

function read(chunk: Uint8Array): RequestHead {
  const head = new RequestHead();
  head.push(chunk);
  return head;
}

describe('RequestHead', () => {
  it('reads the request of RFC 6455, section 1.3', () => {
    const head = new RequestHead();
    const chunk = join([bytes(REQUEST), FRAME]);
    expect(head.push(chunk)).toBe('done');
    expect(head).toMatchObject({
      method: 'GET',
      target: '/chat',
      version: '1.1',
      fault: undefined,
      remoteAddress: undefined,
      wantsWebSocket: true,
      end: REQUEST.length,
    });
    expect(chunk.subarray(head.end)).toEqual(FRAME);
    expect(head.once('SEC-websocket-key')).toBe('dGhlIHNhbXBsZSBub25jZQ==');
    expect(head.all()).toHaveLength(7);
    expect(head.all()[0]).toEqual(['Host', 'server.example.com']);
  });

  it('finds lines of a field by a name in any case', () => {
    const head = read(request('A: 1', 'a:2 ', 'A:\t3\t', 'Empty:', 'AA: 4', 'b: \xff'));
    expect(head.has('a')).toBe(true);
    expect(head.lines('A')).toEqual(['1', '2', '3']);
    expect(head.list('a')).toBe('1, 2, 3');
    expect(head.once('a')).toBeUndefined();
    expect(head.once('empty')).toBe('');
    expect(head.once('b')).toBe('\xff');
    expect([head.has('c'), head.lines('c'), head.list('c')]).toEqual([false, [], '']);
  });

  it('knows nothing before the head is complete, nor after a fault', () => {
    const head = new RequestHead();
    expect(head.push(request().subarray(0, 20))).toBe('more');
    expect([head.method, head.target, head.all(), head.end]).toEqual(['', '', [], 0]);
    expect(head.push(bytes('\0'))).toBe('fault');
    expect([head.method, head.target, head.all(), head.end]).toEqual(['', '', [], 0]);
    expect(head.push(request())).toBe('fault');
  });

  it('reads nothing after the head', () => {
    const head = read(request());
    expect(head.push(bytes('\0'))).toBe('done');
    expect(head.fault).toBeUndefined();
  });

  it('does not copy a head in one chunk, and copies a cut one', () => {
    const whole = request('A: 1');
    const head = read(whole);
    const [first, second] = cut(whole.slice(), [20]) as [Uint8Array, Uint8Array];
    const other = new RequestHead();
    other.push(first);
    other.push(second);
    for (const chunk of [whole, first, second]) chunk.fill(0x7a);
    expect(head.method).toBe('zzz');
    expect(other.all()).toEqual([
      ['Host', 'h'],
      ['A', '1'],
    ]);
    expect(other.end).toBe(second.length);
  });

  it('gives the same result for all cuts, and for a Buffer of Node', () => {
    const small = { maxBytes: 300, maxTarget: 8, maxLines: 8 };
    const describeHead = (pieces: Uint8Array[]): unknown => {
      const head = new RequestHead(small);
      const verdict = pieces.map((piece) => head.push(piece)).at(-1);
      const { fault, method, target, version } = head;
      return { verdict, fault, method, target, version, all: head.all() };
    };
    fc.assert(
      fc.property(requests, (whole) => {
        const once = describeHead([whole]);
        expect(describeHead([Buffer.from(whole)])).toEqual(once);
        expect(describeHead([...whole].map((byte) => Uint8Array.of(byte)))).toEqual(once);
        for (let at = 0; at < whole.length; at += 7) {
          expect(describeHead(cut(whole, [at]))).toEqual(once);
        }
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ['no method', ' / HTTP/1.1'],
    ['two spaces', 'GET  / HTTP/1.1'],
    ['a tab', 'GET\t/ HTTP/1.1'],
    ['no target', 'GET HTTP/1.1'],
    ['a target in asterisk form', 'OPTIONS * HTTP/1.1'],
    ['a target in authority form', 'CONNECT h:1 HTTP/1.1'],
    ['user info', 'GET http://u@h/ HTTP/1.1'],
    ['a byte above ASCII in the target', 'GET /\xe4 HTTP/1.1'],
    ['HTTP/2', 'GET / HTTP/2.0'],
    ['HTTP/1.2', 'GET / HTTP/1.2'],
    ['a version in lower case', 'GET / http/1.1'],
    ['text after the version', 'GET / HTTP/1.1 x'],
    ['a method that is not a token', 'G@T / HTTP/1.1'],
    ['an empty line first', '\r\nGET / HTTP/1.1'],
  ])('refuses %s', (_, line) => {
    const head = read(bytes(`${line}\r\nHost: h\r\n\r\n`));
    expect(head.fault?.status).toBe(400);
  });

  it.each([
    ['a space before the colon', 'A : 1'],
    ['a folded line', 'A: 1\r\n b'],
    ['an empty name', ': 1'],
    ['a line without a colon', 'A'],
    ['NUL', 'A: \0'],
    ['a bare CR', 'A: 1\rb'],
    ['a bare LF', 'A: 1\nB: 2'],
    ['DEL', 'A: \x7f'],
    ['a second Host', 'host: h'],
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 1'],
    ['a list of lengths', 'Content-Length: 1, 1'],
    ['a length and a coding', 'Content-Length: 1\r\nTransfer-Encoding: chunked'],
    ['another coding', 'Transfer-Encoding: chunked, gzip'],
  ])('refuses %s', (_, line) => {
    const head = read(request(line));
    expect(head.fault?.status).toBe(400);
  });

  it('refuses a request of HTTP/1.1 without Host, and takes one of HTTP/1.0', () => {
    expect(read(bytes('GET / HTTP/1.1\r\n\r\n')).fault?.status).toBe(400);
    expect(read(bytes('GET / HTTP/1.0\r\n\r\n')).version).toBe('1.0');
  });

  it.each(['get', 'QUERY', 'SOURCE', 'FOO', 'M-SEARCH', 'CONNECT'])(
    'takes the method %s, which the rules answer with 405',
    (method) => {
      const head = read(bytes(REQUEST.replace('GET', method)));
      expect([head.method, head.fault]).toEqual([method, undefined]);
      expect(checkRequest(head)?.status).toBe(405);
    },
  );

  it('refuses the first byte of TLS at once', () => {
    expect(new RequestHead().push(Uint8Array.of(0x16))).toBe('fault');
  });

  it.each([
    ['bytes', { maxBytes: 40 }, bytes('GET / HTTP/1.1\r\n')],
    ['target', { maxTarget: 4 }, bytes('GET /123')],
    ['lines', { maxLines: 2 }, request('A: 1').subarray(0, -2)],
  ])('takes a head at the limit of %s, and refuses one over it with 431', (_, limits, start) => {
    const head = new RequestHead(limits);
    expect(head.push(start)).toBe('more');
    expect(head.push(bytes(`${'x'.repeat(40)}: 1\r\n`))).toBe('fault');
    expect(head.fault?.status).toBe(431);
  });

  it.each([
    [
      'a target',
      { maxTarget: 4 },
      bytes('GET /123\x80'),
      'the request target is longer than 4 bytes',
    ],
    ['a head', { maxBytes: 8 }, bytes('GET /123\x80'), 'the head is larger than 8 bytes'],
  ])(
    'refuses %s over its limit with 431, also when the byte over it is invalid',
    (_, limits, all, message) => {
      const head = new RequestHead(limits);
      expect(head.push(all)).toBe('fault');
      expect(head.fault).toEqual({ status: 431, message });
    },
  );

  it('takes a head of exactly maxBytes', () => {
    const whole = request('A: 1');
    expect(new RequestHead({ maxBytes: whole.length }).push(whole)).toBe('done');
    expect(new RequestHead({ maxBytes: whole.length - 1 }).push(whole)).toBe('fault');
  });

  it('holds no more than maxBytes of a head that never ends', () => {
    const head = new RequestHead();
    head.push(bytes('GET / HTTP/1.1\r\nA: '));
    let pushes = 0;
    while (head.push(new Uint8Array(1000).fill(0x61)) === 'more') pushes++;
    expect(pushes).toBe(16);
  });

  it('rejects wrong arguments', () => {
    expect(() => new RequestHead().push('GET' as never)).toThrow(TypeError);
    expect(() => new RequestHead({ maxBytes: 0 })).toThrow(/maxBytes: .*got 0/);
    expect(() => new RequestHead({ maxLines: '1' as never })).toThrow(TypeError);
    expect(() => new RequestHead({ maxbytes: 1 } as never)).toThrow(
      'unknown option maxbytes; did you mean maxBytes?',
    );
    expect(() => new RequestHead(null as never)).toThrow(TypeError);
  });
});

describe('RequestHead.wantsWebSocket', () => {
  // RFC 9110, section 5.6.3: a tab is optional white space. llhttp before 9.4 hides the last ones.
  it.each([
    ['Upgrade', false],
    ['keep-alive, upgrade', false],
    ['\tUpgrade', false],
    ['keep-alive\t,\tUpgrade , close\t', false],
    ['Upgrade\t', true],
    ['Upgrade \t, close', true],
    ['keep-alive,Upgrade\t', true],
  ])('finds upgrade in Connection: %j', (connection, hides) => {
    const head = read(bytes(REQUEST.replace('Connection: Upgrade', `Connection:${connection}`)));
    expect([head.wantsWebSocket, head.hidesUpgrade]).toEqual([true, hides]);
  });

  it.each(['foo\tUpgrade', 'Upgrade\tfoo', 'Up\tgrade', 'keep-alive'])(
    'finds none in Connection: %j',
    (connection) => {
      const head = read(bytes(REQUEST.replace('Connection: Upgrade', `Connection: ${connection}`)));
      expect(head.wantsWebSocket).toBe(false);
    },
  );
});

describe('ResponseHead', () => {
  it('reads the response of RFC 6455, section 1.3', () => {
    const head = new ResponseHead();
    const chunk = join([bytes(RESPONSE), FRAME]);
    expect(head.push(chunk)).toBe('done');
    expect(head).toMatchObject({ status: 101, minor: 1, wantsWebSocket: true, fault: undefined });
    expect(chunk.subarray(head.end)).toEqual(FRAME);
    expect(head.once('sec-websocket-protocol')).toBe('chat');
  });

  it('gives the same result for all cuts, and for a Buffer of Node', () => {
    const describeHead = (pieces: Uint8Array[]): unknown => {
      const head = new ResponseHead({ maxBytes: 200, maxLines: 5 });
      const verdict = pieces.map((piece) => head.push(piece)).at(-1);
      const { fault, status, minor } = head;
      return { verdict, fault, status, minor, all: head.all() };
    };
    fc.assert(
      fc.property(responses, (whole) => {
        const once = describeHead([whole]);
        expect(describeHead([Buffer.from(whole)])).toEqual(once);
        expect(describeHead([...whole].map((byte) => Uint8Array.of(byte)))).toEqual(once);
      }),
      { numRuns: 200 },
    );
  });

  it.each(['HTTP/1.1 200 OK', 'HTTP/1.0 200 ', 'HTTP/1.1 200', 'HTTP/1.1 200 Gr\xfc\xdfe'])(
    'takes %s',
    (line) => {
      const head = new ResponseHead();
      expect(head.push(bytes(`${line}\r\n\r\n`))).toBe('done');
      expect(head.status).toBe(200);
    },
  );

  it.each(['HTTP/1.1  200 OK', 'HTTP/1.1 20 OK', 'HTTP/1.1 2000', 'HTTP/1.1 000', 'ICY 200 OK'])(
    'refuses %s',
    (line) => {
      expect(new ResponseHead().push(bytes(`${line}\r\n\r\n`))).toBe('fault');
    },
  );

  it('has a status of 0 until its digits have arrived', () => {
    const head = new ResponseHead();
    const seen = 'HTTP/1.1 101 '.split('').map((char) => head.push(bytes(char)) && head.status);
    expect(seen).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 101, 101]);
  });

  it.each(['HTTP/1.1  101', 'HTTP/1.1 10x', 'HTTP/1.1 1 0', 'HTTP/1.1 \xff', 'HTTP/1.1 099'])(
    'has a status of 0 after %s',
    (line) => {
      const head = new ResponseHead();
      expect([head.push(bytes(line)), head.status]).toEqual(['fault', 0]);
    },
  );

  it.each(['HTTP/1.2', 'HTTP/1.x', 'HTTP/1. '])('has a minor version of 0 after %s', (line) => {
    const head = new ResponseHead();
    expect([head.push(bytes(line)), head.minor]).toEqual(['fault', 0]);
  });
});
