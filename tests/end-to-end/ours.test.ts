import { SOCKETS } from '../peers/index.ts';
import { oursSuite } from './ours-suite.ts';

oursSuite(SOCKETS);
