import { hasToken, isWebSocketKey, parseSubprotocols, parseTokenList } from '@ws/codec';
import { Input } from '../harness/input.ts';
import { bytesOf, same, type Target } from '../harness/target.ts';
import { isKey, lists, subprotocolsOf, tokensOf } from '../judges/header-fields.ts';

/** Lists of tokens and the key, against regular expressions for the same. */
export function subprotocolHeader(parse: typeof parseSubprotocols = parseSubprotocols): Target {
  return {
    name: 'subprotocol-header',
    says: 'Sec-WebSocket-Protocol, lists of tokens and Sec-WebSocket-Key by their grammars',
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
      same(parseTokenList(text)?.join(), tokensOf(text)?.join(), 'tokens');
      same(parse(text)?.join(), subprotocolsOf(text)?.join(), 'subprotocols');
      for (const token of ['upgrade', 'websocket', 'kelvin']) {
        same(hasToken(text, token), lists(text, token), `lists ${token}`);
      }
      same(isWebSocketKey(once), isKey(once), 'key');
    },
  };
}
