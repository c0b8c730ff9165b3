import { deflateContract } from '@ws/tests';
import { handleEngines, oneshotEngines } from '../../src/deflate/engines.ts';

deflateContract('zlib by its handle', handleEngines());
deflateContract('zlib by its documented functions', oneshotEngines);
