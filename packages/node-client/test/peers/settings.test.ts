import { settingsSuite } from '@ws/testkit/peers';
import { clientStage } from './stage.ts';

settingsSuite(clientStage);
