import { gunzipSync, gzipSync } from 'node:zlib';

/** Each file follows a header of this size, in blocks of it. */
const BLOCK = 512;

/** One file of an archive, with its header. */
interface Entry {
  readonly name: string;
  /** The header and the blocks of the file. */
  readonly bytes: Buffer;
  readonly content: Buffer;
}

function* entriesOf(tarball: Uint8Array): Generator<Entry> {
  const archive = gunzipSync(tarball);
  const field = (at: number, size: number): string =>
    archive.toString('latin1', at, at + size).replace(/[\0 ].*$/s, '');
  for (let at = 0; archive[at] !== 0 && at < archive.length; ) {
    const size = Number.parseInt(field(at + 124, 12), 8);
    const end = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    const content = archive.subarray(at + BLOCK, at + BLOCK + size);
    yield { name: field(at, 100), bytes: archive.subarray(at, end), content };
    at = end;
  }
}

/** The files of a `.tgz`, by their paths in it: `package/package.json`. */
export function filesOf(tarball: Uint8Array): Map<string, Buffer> {
  return new Map([...entriesOf(tarball)].map(({ name, content }) => [name, content]));
}

/**
 * The `.tgz` with these files, which replace those of the same names. Its files are in the order of their code units:
 * the packer sorts by the locale of the machine.
 */
export function withFiles(tarball: Uint8Array, files: Readonly<Record<string, string>>): Buffer {
  const all = new Map([...entriesOf(tarball)].map(({ name, bytes }) => [name, bytes]));
  for (const [name, text] of Object.entries(files)) all.set(name, entry(name, Buffer.from(text)));
  const sorted = [...all.keys()].toSorted((a, b) => (a < b ? -1 : 1));
  // Two empty blocks end an archive.
  const archive = [...sorted.map((name) => all.get(name)!), Buffer.alloc(2 * BLOCK)];
  return gzipSync(Buffer.concat(archive), { level: 9 });
}

/** A file in the format ustar (POSIX.1-1988), of the time that npm gives all files. */
function entry(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, size: number): string => value.toString(8).padStart(size - 1, '0');
  const fields: readonly [at: number, text: string][] = [
    [0, name],
    [100, octal(0o644, 8)],
    [108, octal(0, 8)],
    [116, octal(0, 8)],
    [124, octal(content.length, 12)],
    [136, octal(Date.parse('1985-10-26T08:15:00Z') / 1000, 12)],
    // The checksum counts itself as spaces.
    [148, ' '.repeat(8)],
    [156, '0'],
    [257, 'ustar\0'],
    [263, '00'],
  ];
  for (const [at, text] of fields) header.write(text, at, 'latin1');
  const sum = header.reduce((a, b) => a + b, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const padding = Buffer.alloc(Math.ceil(content.length / BLOCK) * BLOCK - content.length);
  return Buffer.concat([header, content, padding]);
}
