import { closingSuite, rawClosingSuite } from '@ws/tests/peers';
import { clientConnector } from './connector.ts';

closingSuite(clientConnector);
rawClosingSuite(clientConnector);
