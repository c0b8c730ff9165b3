/** A fault: the chapter that has to notice it, by the title of a case, and what the report must say. */
interface Planted {
  readonly chapter: number;
  readonly by: string;
  readonly says: RegExp;
}

const planted = (chapter: number, by: string, says: RegExp): Planted => ({ chapter, by, says });

/** What the naive server can be told to do wrong. */
export const FAULTS = {
  'echoes text as binary': planted(
    1,
    'a text message of 1 byte in one frame',
    /came back as binary, not text/,
  ),
  'loses empty messages': planted(1, 'a text message of 0 bytes in one frame', /nothing came/),
  'writes long forms of lengths': planted(
    1,
    'a binary message of 125 bytes in one frame',
    /not the shortest form/,
  ),
  'cuts messages at 65,535 bytes': planted(
    1,
    'a text message of 65536 bytes in one frame',
    /65535 bytes in place of 65536/,
  ),
  'sends no pong': planted(2, 'a ping of 4 bytes', /nothing came .* a pong of 4 bytes was due/),
  'sends pongs without their bytes': planted(2, 'a ping of 1 byte', /the pong has no bytes/),
  'answers pongs': planted(2, 'a pong of 1 byte that nobody asked for', /the pong has 00/),
  'takes long controls': planted(2, 'a ping of 126 bytes', /more than 125 bytes/),
  'takes fragmented controls': planted(2, 'a ping that is not final', /must not be fragmented/),
  'ignores reserved bits': planted(3, 'RSV2 on a binary frame', /a binary message of 8 bytes came/),
  'ignores RSV3': planted(3, 'RSV3 on a text frame', /a text message of 8 bytes came/),
  'echoes unknown opcodes': planted(4, 'opcode 0x3, with a payload', /opcode 3 is reserved/),
  'drops unknown controls': planted(4, 'opcode 0xb, empty', /nothing came .* reserved/),
  'takes continuations of nothing': planted(
    5,
    'a continuation frame as the first frame',
    /nothing to continue/,
  ),
  'lets a new message replace the old': planted(
    5,
    'a text frame within a text message',
    /a message is under way/,
  ),
  'drops fragments at a ping': planted(
    5,
    'a ping after each of 2 fragments of a text message',
    /5 bytes in place of 10/,
  ),
  'checks no UTF-8': planted(6, 'overlong slash, c0 af, in one frame', /not UTF-8/),
  'checks UTF-8 frame by frame': planted(
    6,
    'U+0080, each byte in a fragment of its own',
    /1007 came, where a text message/,
  ),
  'takes surrogates': planted(6, 'the lowest surrogate, U+D800, in one frame', /not UTF-8/),
  'takes text cut short': planted(6, 'two bytes, the second missing, in one frame', /not UTF-8/),
  'checks UTF-8 when the message is whole': planted(
    6,
    'the byte ff, in a frame whose rest never comes',
    /nothing came/,
  ),
  'answers no close frame': planted(
    7,
    'a close frame with 1000',
    /nothing came .* close frame was due/,
  ),
  'echoes after a close frame': planted(
    7,
    'a text message after a close frame, in the same segment',
    /follows a close frame/,
  ),
  'takes any close code': planted(7, 'close code 999', /close code 999 must not be sent/),
  'takes half a close code': planted(
    7,
    'a close frame of one byte, 03',
    /as if nothing were wrong/,
  ),
  'checks no reason': planted(7, 'a reason with the byte ff', /as if nothing were wrong/),
  'answers every closing with 1000': planted(7, 'close code 1001', /answered with 1000/),
  'leaves the end to the client': planted(
    7,
    'a close frame after an echo',
    /left the end of the connection/,
  ),
  'ignores the end of the connection': planted(
    7,
    'the end of our half between two messages',
    /nothing came .* end of the connection/,
  ),
  'answers with a wrong accept': planted(
    8,
    'the key of the RFC',
    /Sec-WebSocket-Accept is not that of our key/,
  ),
  'wants "websocket" in lower case': planted(8, 'Upgrade: WebSocket', /not 101/),
  'takes any version': planted(8, 'Sec-WebSocket-Version: 14', /accepted with 101/),
  'does not tell its version': planted(8, 'Sec-WebSocket-Version: 25', /does not say/),
  'takes any method': planted(8, 'method POST', /accepted with 101/),
  'takes two keys': planted(8, 'Sec-WebSocket-Key twice, different', /accepted with 101/),
  'picks any subprotocol': planted(8, 'none offered', /subprotocol that was not offered/),
  'accepts unknown extensions': planted(
    8,
    'Sec-WebSocket-Extensions: x-unknown',
    /extension x-unknown/,
  ),
  'takes malformed extensions': planted(
    8,
    'Sec-WebSocket-Extensions: x-one; a="open',
    /accepted with 101/,
  ),
  'loses what comes with the request': planted(8, 'a message with the request', /nothing came/),
  'takes lengths in long form': planted(
    9,
    'a text frame of 125 bytes with a length of 16 bits',
    /not in its shortest form/,
  ),
  'takes lengths modulo 2^32': planted(
    9,
    'a text frame that claims 2^32 + 5 bytes and has 5, and then our end',
    /a text message of 5 bytes came/,
  ),
  'ignores the top bit of a length': planted(
    9,
    'a text frame that claims 2^63 + 5 bytes',
    /highest bit/,
  ),
  'loses messages of a slow reader': planted(
    9,
    '160 messages of 100000 bytes, of which nothing is read at first',
    /messages? still due|nothing came|differs/,
  ),
  'takes a chunk for a frame': planted(
    10,
    'two messages in two segments, cut 1 before the border of their frames',
    /messages still due|nothing came/,
  ),
  'loses a header that is cut': planted(
    10,
    'a message of 1000 bytes with a length of 16 bits, cut after byte 2',
    /came|due/,
  ),
  'takes frames without a mask': planted(11, 'a text frame without a mask', /a client must mask/),
  'keeps the first key': planted(11, 'a key of its own for each of 50 frames', /differs/),
  'masks its own frames': planted(
    11,
    'the key 00000000 on a text frame of 37 bytes',
    /a server must not mask/,
  ),
  'inflates only the first fragment': planted(
    12,
    'a compressed text message in two fragments',
    /in place of 500/,
  ),
  'takes RSV1 on continuations': planted(
    12,
    'RSV1 on the last fragment too',
    /a text message of 50 bytes came/,
  ),
  'stops at a final block': planted(
    12,
    'a compressed message: two final blocks',
    /5 bytes in place of 10/,
  ),
  'echoes what it cannot inflate': planted(12, 'a block of type 3', /no DEFLATE data/),
  'checks no inflated UTF-8': planted(
    12,
    'a compressed text with a continuation byte alone, 80',
    /not UTF-8/,
  ),
  'compresses in a larger window': planted(
    13,
    'server_max_window_bits=9, and a message that repeats itself at a greater distance',
    /a window of 512 was agreed on/,
  ),
  'compresses with what went before': planted(
    13,
    'server_no_context_takeover, and the same text five times',
    /where there are only 0/,
  ),
  'accepts bad parameters': planted(
    13,
    'the offer permessage-deflate; client_max_window_bits=7',
    /had to be declined/,
  ),
  'answers what was not offered': planted(
    13,
    'the offer permessage-deflate',
    /client_max_window_bits, which was not offered/,
  ),
  'compresses without an offer': planted(
    13,
    'no offer, and a text of 1000 bytes that compression would make smaller',
    /RSV1 is set/,
  ),
} as const satisfies Record<string, Planted>;

/** One of them. */
export type Fault = keyof typeof FAULTS;
