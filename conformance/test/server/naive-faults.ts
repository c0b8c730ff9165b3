/** Chapter and title of the case that reports a fault, and the text of its report. */
interface Planted {
  readonly chapter: number;
  readonly by: string;
  readonly reports: RegExp;
}

const planted = (chapter: number, by: string, reports: RegExp): Planted => ({
  chapter,
  by,
  reports,
});

/** Faults of the naive server. */
export const FAULTS = {
  'echoes text as binary': planted(
    1,
    'a text message of 1 byte in one frame',
    /came back as binary, expected text/,
  ),
  'loses empty messages': planted(1, 'a text message of 0 bytes in one frame', /timeout/),
  'sends long forms of lengths': planted(
    1,
    'a binary message of 125 bytes in one frame',
    /not in the shortest form/,
  ),
  'cuts messages at 65,535 bytes': planted(
    1,
    'a text message of 65536 bytes in one frame',
    /65535 bytes, expected 65536/,
  ),
  'damages the last byte of each message': planted(
    1,
    'a binary message of 1 byte in one frame',
    /first difference at byte 0/,
  ),
  'does not send pongs': planted(2, 'a ping of 4 bytes', /timeout .* a pong of 4 bytes/),
  'sends pongs without a payload': planted(2, 'a ping of 1 byte', /the pong has no bytes/),
  'answers pongs': planted(2, 'an unsolicited pong of 1 byte', /the pong has 00/),
  'accepts long control frames': planted(2, 'a ping of 126 bytes', /more than 125 bytes/),
  'accepts fragmented control frames': planted(
    2,
    'a ping that is not final',
    /must not be fragmented/,
  ),
  'ignores reserved bits': planted(
    3,
    'RSV2 on a binary frame',
    /received a binary message of 8 bytes/,
  ),
  'ignores RSV3': planted(3, 'RSV3 on a text frame', /received a text message of 8 bytes/),
  'echoes unknown opcodes': planted(4, 'opcode 0x3, with a payload', /opcode 3 is reserved/),
  'drops unknown control frames': planted(4, 'opcode 0xb, empty', /timeout .* reserved/),
  'accepts continuation frames without a message': planted(
    5,
    'a continuation frame as the first frame',
    /no message to continue/,
  ),
  'lets a new message replace the old': planted(
    5,
    'a text frame within a text message',
    /a message is unfinished/,
  ),
  'drops fragments at a ping': planted(
    5,
    'a ping after each of 2 fragments of a text message',
    /5 bytes, expected 10/,
  ),
  'checks frames only when they are complete': planted(
    3,
    'only the header of a text frame with RSV1',
    /timeout/,
  ),
  'rejects empty fragments': planted(
    5,
    'an empty first fragment, a ping, an empty fragment, a pong and the rest',
    /1002, with 1 messages missing/,
  ),
  'turns CR LF into LF': planted(
    6,
    'characters that JSON and HTML escape, in one frame',
    /16 bytes, expected 17/,
  ),
  'rejects noncharacters': planted(
    6,
    'the noncharacter or special U+FDD0',
    /1007, with 1 messages missing/,
  ),
  'stops after 500 messages': planted(
    9,
    '1000 text messages of 16 bytes, each sent when the previous one is back',
    /timeout/,
  ),
  'counts messages in 16 bits': planted(
    9,
    '100,000 empty text messages in one write, then a ping',
    /timeout|did not end/,
  ),
  'reads the body of a handshake as frames': planted(
    8,
    'a handshake with Content-Length: 5 and five bytes',
    /1002, expected a text message/,
  ),
  'copies the escapes of a subprotocol': planted(
    8,
    'a subprotocol with %0d%0a and a field',
    /which the request has injected/,
  ),
  'does not check UTF-8': planted(6, 'overlong slash, c0 af, in one frame', /not UTF-8/),
  'checks UTF-8 frame by frame': planted(
    6,
    'U+0080, one byte per fragment',
    /1007, expected a text message/,
  ),
  'accepts surrogates': planted(6, 'the lowest surrogate, U+D800, in one frame', /not UTF-8/),
  'accepts incomplete UTF-8': planted(
    6,
    'two bytes, the second missing, in one frame',
    /not UTF-8/,
  ),
  'checks UTF-8 only in complete messages': planted(
    6,
    'the byte ff, in an incomplete frame',
    /timeout/,
  ),
  'does not answer close frames': planted(7, 'a close frame with 1000', /timeout .* close frame/),
  'echoes after a close frame': planted(
    7,
    'a text message after a close frame, in the same segment',
    /follows a close frame/,
  ),
  'accepts any close code': planted(7, 'close code 999', /close code 999 must not be sent/),
  'accepts half a close code': planted(
    7,
    'a close frame of one byte, 03',
    /as if the frame were valid/,
  ),
  'does not check reasons': planted(7, 'a reason with the byte ff', /as if the frame were valid/),
  'answers every closing with 1000': planted(7, 'close code 1001', /has 1000/),
  'does not end the connection': planted(
    7,
    'a close frame with 1000, and no FIN from us',
    /did not end the connection/,
  ),
  'waits for our FIN after a fault': planted(
    7,
    "a reserved opcode, our answer to the server's close frame, and no FIN from us",
    /did not end the connection/,
  ),
  'answers bad handshakes with 200': planted(
    8,
    'an invalid handshake: no Sec-WebSocket-Key',
    /status 200, expected an error status/,
  ),
  'drops refused handshakes': planted(
    8,
    'an invalid handshake: no Sec-WebSocket-Version',
    /ended without an answer, expected an HTTP error/,
  ),
  'ignores the end of the connection': planted(
    7,
    'our FIN between two messages',
    /timeout .* end of the connection/,
  ),
  'answers with a wrong accept': planted(
    8,
    'a valid handshake: the example key of the RFC',
    /Sec-WebSocket-Accept does not match the key/,
  ),
  'requires "websocket" in lower case': planted(
    8,
    'a valid handshake: Upgrade: WebSocket',
    /not 101/,
  ),
  'accepts any version': planted(
    8,
    'another version: Sec-WebSocket-Version: 14',
    /accepted the handshake with 101/,
  ),
  'does not list its version': planted(
    8,
    'another version: Sec-WebSocket-Version: 25',
    /does not list/,
  ),
  'accepts any method': planted(8, 'no handshake: method POST', /accepted the handshake with 101/),
  'accepts two keys': planted(
    8,
    'an invalid handshake: Sec-WebSocket-Key twice, different',
    /accepted the handshake with 101/,
  ),
  'selects an unoffered subprotocol': planted(
    8,
    'no subprotocol offered',
    /subprotocol that was not offered/,
  ),
  'selects another subprotocol each time': planted(
    8,
    'the same subprotocols on three connections',
    /the server selected chat, then superchat, then chat/,
  ),
  'accepts unknown extensions': planted(
    8,
    'unknown extensions: Sec-WebSocket-Extensions: x-unknown',
    /extension x-unknown/,
  ),
  'accepts malformed extensions': planted(
    8,
    'malformed extensions: Sec-WebSocket-Extensions: x-one; a="open',
    /accepted the handshake with 101/,
  ),
  'loses frames in the segment of the request': planted(
    8,
    'a message in the segment of the request',
    /timeout/,
  ),
  'accepts long forms of lengths': planted(
    9,
    'a text frame of 125 bytes with a length of 16 bits',
    /not in its shortest form/,
  ),
  'reads lengths modulo 2^32': planted(
    9,
    'a text frame that claims 2^32 + 5 bytes and has 5, then our FIN',
    /received a text message of 5 bytes/,
  ),
  'ignores the top bit of a length': planted(
    9,
    'a text frame that claims 2^63 + 5 bytes',
    /highest bit/,
  ),
  'loses messages of a slow reader': planted(
    9,
    '160 messages of 100000 bytes, read after a pause',
    /messages? missing|timeout|difference/,
  ),
  'treats a chunk as a frame': planted(
    10,
    'frames of every kind, in segments of 2 bytes',
    /messages? missing|timeout/,
  ),
  'loses split headers': planted(
    10,
    // One cut may be lost when the segments merge on a busy machine.
    'frames of every kind, in segments of 3 bytes',
    /messages? missing|timeout/,
  ),
  'accepts frames without a mask': planted(11, 'a text frame without a mask', /a client must mask/),
  'uses the first key for all frames': planted(
    11,
    'a different key for each of 50 frames',
    /difference/,
  ),
  'masks its own frames': planted(
    11,
    'the key 00000000 on a text frame of 37 bytes',
    /a server must not mask/,
  ),
  'inflates only the first fragment': planted(
    12,
    'a compressed text message in two fragments',
    /1007, expected a text message/,
  ),
  'accepts RSV1 on continuations': planted(
    12,
    'with compression: RSV1 on the first and the last fragment',
    /received a text message of 50 bytes/,
  ),
  'stops at a final block': planted(
    12,
    'a compressed message: two final blocks',
    /5 bytes, expected 10/,
  ),
  'echoes data that it cannot inflate': planted(12, 'a block of type 3', /DEFLATE data is invalid/),
  'echoes data that ends within a block': planted(
    12,
    'a stored block without its last 20 bytes',
    /ends within a block/,
  ),
  'empties messages that inflate too much': planted(
    12,
    'a message of 128 KiB that inflates to 128 MiB, in one frame',
    /0 bytes, expected a failed connection/,
  ),
  'forgets RSV1 at a control frame': planted(
    12,
    'random conversation 1: compressed and plain messages, fragments, pings, pongs and segments',
    /difference|received|invalid frame/,
  ),
  'does not check inflated UTF-8': planted(
    12,
    'a compressed text with a continuation byte alone, 80',
    /not UTF-8/,
  ),
  'compresses with a larger window': planted(
    13,
    'server_max_window_bits=9, and a message that repeats itself beyond the window',
    /the negotiated window of 512/,
  ),
  'compresses with context takeover': planted(
    13,
    'server_no_context_takeover, and the same text five times',
    /but only 0 exist/,
  ),
  'accepts bad parameters': planted(
    13,
    'the offer permessage-deflate; client_max_window_bits=7',
    /expected a decline/,
  ),
  'answers with unoffered parameters': planted(
    13,
    'the offer permessage-deflate',
    /client_max_window_bits, which was not offered/,
  ),
  'compresses without an offer': planted(
    13,
    'no offer, and a compressible text of 1000 bytes',
    /RSV1 is set/,
  ),
} as const satisfies Record<string, Planted>;

/** What the naive server may do by the RFCs, and the chapters whose cases still do not fail. */
export const LIBERTIES = {
  'limits messages to 10,000 bytes': ['1', '6.7', '9.3', '9.10', '10.4'],
  'accepts messages of any size': ['12.22'],
  'closes when a ping gets no pong': ['1', '9.17'],
  'sends pongs as a heartbeat': ['2', '3.12', '4.7', '9.14'],
  'answers plain requests with 200': ['8.9', '8.11', '8.13'],
  'answers close frames without a code': ['1', '5'],
} as const;

/** Name of a liberty. */
export type Liberty = keyof typeof LIBERTIES;

/** Name of a fault. */
export type Fault = keyof typeof FAULTS;
