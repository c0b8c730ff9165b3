import { deflateContract, syncDeflate } from '@ws/tests';
import { ZlibDeflate } from '../../src/zlib-deflate.ts';

deflateContract('zlib by its handle', new ZlibDeflate());
deflateContract('zlib by its synchronous functions', syncDeflate);
