import { isWebSocketKey, parseSubprotocols, parseTokenList } from '@ws/codec';
import { hasToken } from '@ws/codec/internal';
import { Input } from '../harness/input.ts';
import { bytesOf, ensureSame, type Target } from '../harness/target.ts';
import { hasListToken, isKey, subprotocolsOf, tokensOf } from '../oracles/header-fields.ts';

/** Checks the parsers of token lists and of keys against regular expressions. */
export function subprotocolHeader(parse: typeof parseSubprotocols = parseSubprotocols): Target {
  return {
    name: 'subprotocol-header',
    description:
      'Sec-WebSocket-Protocol, lists of tokens and Sec-WebSocket-Key follow their grammars',
    covers: ['packages/codec/src/handshake/'],
    maxLength: 400,
    dictionary: bytesOf(
      'chat',
      'Upgrade',
      'websocket',
      'upgrade',
      ', ',
      ',',
      ' ',
      '\t',
      '"',
      '/',
      '\0',
      '\xe9',
      '__proto__',
      'dGhlIHNhbXBsZSBub25jZQ==',
      '==',
    ),
    separators: bytesOf(',', ' '),
    seeds: bytesOf('\0chat, superchat', '\0keep-alive, Upgrade', '\0dGhlIHNhbXBsZSBub25jZQ=='),
    run(input) {
      const read = new Input(input);
      const repeat = read.byte();
      const once = Buffer.from(read.rest()).toString('latin1');
      const text = Array.from({ length: repeat < 128 ? 1 : repeat - 126 }, (_, i) =>
        i === 0 ? once : `${once}${i}`,
      ).join(',');
      ensureSame(parseTokenList(text)?.join(), tokensOf(text)?.join(), 'tokens');
      ensureSame(parse(text)?.join(), subprotocolsOf(text)?.join(), 'subprotocols');
      for (const token of ['upgrade', 'websocket', 'kelvin']) {
        ensureSame(hasToken(text, token), hasListToken(text, token), `contains ${token}`);
      }
      ensureSame(isWebSocketKey(once), isKey(once), 'key');
    },
  };
}
