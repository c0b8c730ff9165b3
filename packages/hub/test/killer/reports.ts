import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import type { FromNode } from './protocol.ts';

const CHUNK_BYTES = 65_536;

/**
 * The reports of a node, a line of JSON each. The node appends them to a file before it continues. So a
 * killed node loses none, and no other process that dies can lose them on the way.
 */
export class Reports {
  readonly #file: number;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  readonly #decoder = new StringDecoder();
  /** The beginning of a line. */
  #rest = '';

  /** @param path - Creates this file. */
  constructor(path: string) {
    this.#file = openSync(path, 'a+');
  }

  /** Returns the reports since the last call. */
  read(): FromNode[] {
    let text = this.#rest;
    for (let size = -1; size !== 0; ) {
      size = readSync(this.#file, this.#chunk);
      text += this.#decoder.write(this.#chunk.subarray(0, size));
    }
    const lines = text.split('\n');
    this.#rest = lines.pop()!;
    return lines.map((line) => JSON.parse(line) as FromNode);
  }

  close(): void {
    closeSync(this.#file);
  }
}
