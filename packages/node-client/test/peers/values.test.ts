import { valueSuite } from '@ws/tests/peers';
import { clientConnector } from './connector.ts';

valueSuite(clientConnector);
