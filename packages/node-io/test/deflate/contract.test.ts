import { deflateContract, syncDeflate } from '@ws/tests';
import { ZlibDeflate } from '../../src/deflate/zlib-deflate.ts';

deflateContract('zlib by its handle', new ZlibDeflate());
deflateContract('zlib by its synchronous functions', syncDeflate);
