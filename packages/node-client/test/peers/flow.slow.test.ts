import { flowSuite } from '@ws/tests/peers';
import { clientConnector } from './connector.ts';

flowSuite(clientConnector);
