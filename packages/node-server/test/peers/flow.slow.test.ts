import { flowSuite } from '@ws/tests/peers';
import { serverConnector } from './connector.ts';

flowSuite(serverConnector);
