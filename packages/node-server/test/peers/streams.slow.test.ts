import { interruptedStreamSuite, streamSuite } from '@ws/tests/peers';
import { serverConnector } from './connector.ts';

streamSuite(serverConnector);
interruptedStreamSuite(serverConnector);
