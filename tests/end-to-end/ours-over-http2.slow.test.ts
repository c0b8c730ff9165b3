import { HTTP2 } from '../peers/index.ts';
import { oursSuite } from './ours-suite.ts';

oursSuite(HTTP2);
