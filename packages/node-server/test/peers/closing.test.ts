import { closingSuite, rawClosingSuite } from '@ws/tests/peers';
import { serverConnector } from './connector.ts';

closingSuite(serverConnector);
rawClosingSuite(serverConnector);
