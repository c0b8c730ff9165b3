import { valueSuite } from '@ws/tests/peers';
import { serverConnector } from './connector.ts';

valueSuite(serverConnector);
