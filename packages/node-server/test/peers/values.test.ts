import { valueSuite } from '@ws/testkit/peers';
import { serverStage } from './stage.ts';

valueSuite(serverStage);
