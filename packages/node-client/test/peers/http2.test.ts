// The other suites over HTTP/2 are in http2.slow.test.ts: here is what differs most from a socket.
import { HTTP2, rawClosingSuite } from '@ws/tests/peers';
import { clientConnector } from './connector.ts';

rawClosingSuite(clientConnector, HTTP2.slice(0, 1));
