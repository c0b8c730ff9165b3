import { gunzipSync } from 'node:zlib';

/** The files of a `.tgz`, by their paths in it: `package/package.json`. */
export function filesOf(tarball: Uint8Array): Map<string, Buffer> {
  const archive = gunzipSync(tarball);
  const files = new Map<string, Buffer>();
  const field = (at: number, size: number): string =>
    archive.toString('latin1', at, at + size).replace(/[\0 ].*$/s, '');
  // Each file follows a header of 512 bytes, in blocks of 512.
  for (let at = 0; archive[at] !== 0 && at < archive.length; ) {
    const size = Number.parseInt(field(at + 124, 12), 8);
    files.set(field(at, 100), archive.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
