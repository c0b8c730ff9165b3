import { messageSuite } from '@ws/testkit/peers';
import { clientStage } from './stage.ts';

messageSuite(clientStage);
