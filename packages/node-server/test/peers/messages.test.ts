import { messageSuite } from '@ws/tests/peers';
import { serverConnector } from './connector.ts';

messageSuite(serverConnector);
