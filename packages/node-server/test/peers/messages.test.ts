import { messageSuite } from '@ws/testkit/peers';
import { serverStage } from './stage.ts';

messageSuite(serverStage);
