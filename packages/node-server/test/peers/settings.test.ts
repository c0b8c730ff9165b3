import { settingsSuite } from '@ws/tests/peers';
import { serverConnector } from './connector.ts';

settingsSuite(serverConnector);
