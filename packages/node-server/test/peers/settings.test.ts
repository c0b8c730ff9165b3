import { settingsSuite } from '@ws/testkit/peers';
import { serverStage } from './stage.ts';

settingsSuite(serverStage);
