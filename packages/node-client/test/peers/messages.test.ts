import { messageSuite } from '@ws/tests/peers';
import { clientConnector } from './connector.ts';

messageSuite(clientConnector);
