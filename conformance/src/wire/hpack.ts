import type { Field } from './handshake.ts';

/** The static table (RFC 7541, appendix A), from index 1. */
const STATIC: readonly Field[] = (
  ':authority=|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|' +
  ':status=200|:status=204|:status=206|:status=304|:status=400|:status=404|:status=500|' +
  'accept-charset|accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|' +
  'access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|' +
  'content-encoding|content-language|content-length|content-location|content-range|' +
  'content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|' +
  'if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|' +
  'proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|' +
  'strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate'
)
  .split('|')
  .map((text) => {
    const [name = '', value = ''] = text.split('=');
    return [name, value];
  });

/** Lengths of the codes of the octets 0x20 to 0x7e (RFC 7541, appendix B), a letter each: `a` is 1. */
const LENGTHS =
  'fjjlmfhkjjhkhfffeeefffffffghofljmfgggggggggggggggggggggghghmsmnfoefefefffeggfffefgfeefgggggoknm';

/** Octets by the bits of their code. The code is canonical, and fields have no other octets. */
const HUFFMAN: ReadonlyMap<string, number> = huffmanCodes();

function huffmanCodes(): Map<string, number> {
  // NUL has a code between those of ASCII.
  const lengths = new Map([[0, 13]]);
  for (let at = 0; at < LENGTHS.length; at++) lengths.set(0x20 + at, LENGTHS.charCodeAt(at) - 0x60);
  const sorted = [...lengths].toSorted(([a, one], [b, other]) => one - other || a - b);
  const codes = new Map<string, number>();
  let [code, before] = [0, 0];
  for (const [octet, length] of sorted) {
    code <<= length - before;
    codes.set((code++).toString(2).padStart(length, '0'), octet);
    before = length;
  }
  return codes;
}

/** Longest code of {@link HUFFMAN}, in bits. */
const MAX_CODE = 19;

function huffmanText(bytes: Uint8Array): string {
  let [text, code] = ['', ''];
  for (const byte of bytes) {
    for (const bit of byte.toString(2).padStart(8, '0')) {
      code += bit;
      const octet = HUFFMAN.get(code);
      if (octet !== undefined) {
        text += String.fromCharCode(octet);
        code = '';
      } else if (code.length > MAX_CODE) throw new Error('a header block has an unknown octet');
    }
  }
  return text;
}

/** Reads one header block. */
class BlockReader {
  readonly #block: Uint8Array;
  #at = 0;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  get atEnd(): boolean {
    return this.#at >= this.#block.length;
  }

  get first(): number {
    return this.#block[this.#at] ?? 0;
  }

  /** Reads an integer whose prefix has `bits` bits (RFC 7541, 5.1). */
  integer(bits: number): number {
    const full = 2 ** bits - 1;
    let value = this.#byte() & full;
    if (value < full) return value;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  /** Reads a string (RFC 7541, 5.2). */
  text(): string {
    const huffman = this.first >= 0x80;
    const length = this.integer(7);
    const bytes = this.#block.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error('a header block ends within a string');
    this.#at += length;
    return huffman ? huffmanText(bytes) : Buffer.from(bytes).toString('latin1');
  }

  #byte(): number {
    const byte = this.#block[this.#at++];
    if (byte === undefined) throw new Error('a header block ends within an integer');
    return byte;
  }
}

/**
 * Decodes a header block of a target that must not use the dynamic table: the suite sends
 * SETTINGS_HEADER_TABLE_SIZE 0.
 *
 * @throws Error for a malformed block.
 */
export function decodeFields(block: Uint8Array): Field[] {
  const reader = new BlockReader(block);
  const fields: Field[] = [];
  while (!reader.atEnd) {
    const { first } = reader;
    if (first >= 0x80) fields.push(entry(reader.integer(7)));
    else if (first >= 0x20 && first < 0x40) reader.integer(5);
    else {
      const index = reader.integer(first >= 0x40 ? 6 : 4);
      const name = index === 0 ? reader.text() : entry(index)[0];
      fields.push([name, reader.text()]);
    }
  }
  return fields;
}

function entry(index: number): Field {
  const field = STATIC[index - 1];
  if (field === undefined) throw new Error(`a header block has the index ${index} of no field`);
  return field;
}

/** How a field enters a header block: a literal that no table gets, or one that the dynamic table gets. */
export type Indexing = 'none' | 'incremental';

/** Encodes fields as literals without Huffman code. */
export function encodeFields(fields: readonly Field[], indexing: Indexing = 'none'): Buffer {
  const start = Buffer.from([indexing === 'none' ? 0 : 0x40]);
  return Buffer.concat(
    fields.flatMap(([name, value]) => [start, encodeText(name), encodeText(value)]),
  );
}

/** Encodes `count` fields of the dynamic table, the oldest first. */
export function encodeIndexes(count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, at) => 0x80 + STATIC.length + count - at));
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}
