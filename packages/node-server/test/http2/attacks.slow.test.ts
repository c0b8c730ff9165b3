import { http2Attacks } from './attacks.ts';

http2Attacks(false);
http2Attacks(true);
