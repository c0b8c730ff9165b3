import { interruptedStreamSuite, streamSuite } from '@ws/tests/peers';
import { clientConnector } from './connector.ts';

streamSuite(clientConnector);
interruptedStreamSuite(clientConnector);
