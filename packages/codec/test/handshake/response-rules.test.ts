import {
  acceptKey,
  checkResponse,
  type HandshakeOffer,
  ResponseHead,
  responseRules,
} from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { add, KEY, RESPONSE, swap } from './heads.ts';

const deflate = { name: 'permessage-deflate', params: new Map<string, string | true>() };
const OFFER: HandshakeOffer = {
  accept: acceptKey(KEY),
  subprotocols: ['chat', 'superchat'],
  extensions: [],
};
const WITH_DEFLATE: HandshakeOffer = { ...OFFER, extensions: [deflate] };

/** The response of the RFC after `change`. */
function head(change: (text: string) => string): ResponseHead {
  const head = new ResponseHead();
  expect(head.push(new TextEncoder().encode(change(RESPONSE)))).toBe('done');
  return head;
}

const EXTENSIONS = 'Sec-WebSocket-Extensions';
const PROTOCOL = 'Sec-WebSocket-Protocol';

describe('checkResponse', () => {
  it('accepts the response of RFC 6455, section 1.3', () => {
    const response = head((text) => text);
    expect(checkResponse(response, OFFER)).toEqual([]);
  });

  // RFC 9110, section 5.6.3.
  it.each([
    'Upgrade\t',
    '\tUpgrade',
    ' \t Upgrade \t ',
    'keep-alive\t,\tUpgrade\t',
    'Upgrade\t, a\tb',
  ])('finds upgrade in Connection: %j', (value) => {
    const response = head(swap('Connection: Upgrade', `Connection:${value}`));
    expect(checkResponse(response, OFFER)).toEqual([]);
  });

  it.each(['Upgrade', 'Sec-WebSocket-Accept', 'Sec-WebSocket-Protocol'])(
    'takes tabs around the value of %s',
    (name) => {
      const response = head((text) =>
        add('Sec-WebSocket-Protocol: chat')(
          text.replace(/Sec-WebSocket-Protocol.*\r\n/, ''),
        ).replace(new RegExp(`(${name}:) (.*)`), '$1\t$2\t'),
      );
      expect(checkResponse(response, OFFER)).toEqual([]);
    },
  );

  it('takes tabs in the list of extensions', () => {
    const response = head(
      add('Sec-WebSocket-Extensions:\tpermessage-deflate\t;\tserver_no_context_takeover\t'),
    );
    expect(checkResponse(response, WITH_DEFLATE)).toEqual([]);
  });

  it.each<[string, (text: string) => string, string]>([
    ['another status', swap('101', '200'), 'status 200, not 101'],
    ['HTTP/1.0', swap('1.1', '1.0'), 'HTTP/1.0, not HTTP/1.1'],
    ['no Upgrade', swap('Upgrade: websocket', 'X: y'), 'no Upgrade header'],
    ['another protocol', swap('websocket', 'h2c'), 'Upgrade is "h2c", not websocket'],
    ['a list', swap('websocket', 'h2c, websocket'), 'Upgrade is "h2c, websocket", not websocket'],
    ['two Upgrades', add('Upgrade: websocket'), 'more than one Upgrade header'],
    ['no Connection', swap('Connection: Upgrade', 'X: y'), 'no Connection header'],
    ['close', swap(/(?<=ion: )Upgrade/, 'close'), 'Connection is "close", without upgrade'],
    ['no Accept', swap('-Accept', '-Other'), 'no Sec-WebSocket-Accept header'],
    ['two Accepts', add('Sec-WebSocket-Accept: x'), 'more than one Sec-WebSocket-Accept header'],
    [
      'another Accept',
      swap('s3pP', 'S3pP'),
      'Sec-WebSocket-Accept is "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", which does not match our key',
    ],
    ['a strange subprotocol', swap(': chat', ': Chat'), `${PROTOCOL} "Chat" was not offered`],
    ['two subprotocols', add(`${PROTOCOL}: superchat`), `more than one ${PROTOCOL} header`],
    ['an extension, none offered', add(`${EXTENSIONS}: x`), `${EXTENSIONS} "x" was not offered`],
  ])('finds %s', (_, change, fault) => {
    expect(checkResponse(head(change), OFFER)).toEqual([fault]);
  });

  it.each<[string, string, string[]]>([
    ['the offered extension', 'permessage-deflate', []],
    ['a parameter that an answer may add', 'permessage-deflate; server_no_context_takeover', []],
    ['a list that is malformed', 'a; =', ['malformed @ "a; ="']],
    ['an empty list', '', ['@ "" does not name one extension']],
    [
      'the extension twice',
      'permessage-deflate, permessage-deflate',
      ['@ "permessage-deflate, permessage-deflate" does not name one extension'],
    ],
    ['another extension', 'x', ['@ "x" does not match our offer: "x is not permessage-deflate"']],
    [
      'a parameter that is unknown',
      'permessage-deflate; y',
      ['@ "permessage-deflate; y" does not match our offer: "unknown parameter y"'],
    ],
  ])('compares the offer of extensions with %s', (_, list, faults) => {
    const response = head(add(`${EXTENSIONS}: ${list}`));
    const found = checkResponse(response, WITH_DEFLATE);
    expect(found.map((fault) => fault.replace(EXTENSIONS, '@'))).toEqual(faults);
  });

  it('leaves the parameters of other offered extensions to their owners', () => {
    const offer = { ...OFFER, extensions: [deflate, { name: 'x', params: new Map() }] };
    const response = head(add('Sec-WebSocket-Extensions: permessage-deflate, x; y=z'));
    expect(checkResponse(response, offer)).toEqual([]);
  });

  it('reports every fault, in the order of the RFC', () => {
    const all = head(
      () => 'HTTP/1.0 101 x\r\nSec-WebSocket-Protocol: p\r\nSec-WebSocket-Extensions: e\r\n\r\n',
    );
    expect(checkResponse(all, OFFER)).toEqual([
      'HTTP/1.0, not HTTP/1.1',
      'no Upgrade header',
      'no Connection header',
      'no Sec-WebSocket-Accept header',
      'Sec-WebSocket-Extensions "e" was not offered',
      'Sec-WebSocket-Protocol "p" was not offered',
    ]);
  });

  it('reports another status alone', () => {
    const response = head(() => 'HTTP/1.1 403 Forbidden\r\n\r\n');
    expect(checkResponse(response, OFFER)).toEqual(['status 403, not 101']);
  });

  it('escapes the values of the server', () => {
    const response = head(swap('websocket', 'web\u00f8'));
    expect(checkResponse(response, OFFER)[0]).toMatch(/^[ -~]*$/);
  });

  it('takes the facts of another parser', () => {
    const lines = new Map([
      ['upgrade', ['websocket']],
      ['connection', ['Upgrade']],
      ['sec-websocket-accept', ['s3pPLMBiTxaQ9kYGzzhZRbK+xOo=']],
    ]);
    const facts = {
      status: 101,
      version: '1.1' as const,
      has: (name: string) => lines.has(name.toLowerCase()),
      lines: (name: string) => lines.get(name.toLowerCase()) ?? [],
      list: (name: string) => (lines.get(name.toLowerCase()) ?? []).join(', '),
    };
    expect(checkResponse(facts, OFFER)).toEqual([]);
  });

  it('never throws, whatever the list of extensions', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ -~]*$/), (list) => {
        const response = head(() => `HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: ${list}\r\n\r\n`);
        expect(checkResponse(response, WITH_DEFLATE).length).toBeGreaterThanOrEqual(3);
      }),
    );
  });
});

describe('responseRules', () => {
  it.each([
    ['permessage-deflate; y', ['parameters']],
    ['x', ['extensions']],
    ['permessage-deflate, x', ['extensions']],
    ['', ['parameters']],
  ])('tell names from parameters in %j', (list, parts) => {
    const response = head(add(`Sec-WebSocket-Extensions: ${list}`));
    const broken = responseRules.filter((rule) => rule.fault(response, WITH_DEFLATE) !== undefined);
    expect(broken.map(({ part }) => part)).toEqual(parts);
  });
});
