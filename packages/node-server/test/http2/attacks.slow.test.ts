import { http2Attacks } from './attacks.ts';

http2Attacks(true);
