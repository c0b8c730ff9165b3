import { pureDeflate } from '@ws/conn/pure-deflate';
import { nodeDeflate } from '@ws/node-io';
import { deflateContract } from '@ws/tests';

deflateContract('plain JavaScript', pureDeflate);

deflateContract('the pure inflater, with deflaters of zlib', {
  inflater: () => pureDeflate.inflater(),
  deflater: (level, windowBits) => nodeDeflate.deflater(level, windowBits),
});

deflateContract('the pure deflater, with inflaters of zlib', {
  inflater: () => nodeDeflate.inflater(),
  deflater: (level, windowBits) => pureDeflate.deflater(level, windowBits),
});
