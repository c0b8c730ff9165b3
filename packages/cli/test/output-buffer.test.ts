import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { OutputBuffer } from '../src/output-buffer.ts';

describe('OutputBuffer', () => {
  it('gives a stream without writev, as of a file, one write for many messages of a turn', async () => {
    const writes: Buffer[] = [];
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        writes.push(chunk);
        done();
      },
    });
    const output = new OutputBuffer(stream);
    const line = Buffer.from('0123456789\n');
    for (let i = 0; i < 1_000; i++) void output.append(line);
    line.fill(0);
    await output.finish();
    expect(Buffer.concat(writes).toString()).toBe('0123456789\n'.repeat(1_000));
    expect(writes.filter(({ length }) => length > 0)).toHaveLength(1);
  });
});
