import { settingsSuite } from '@ws/tests/peers';
import { clientConnector } from './connector.ts';

settingsSuite(clientConnector);
