import { flowSuite } from '@ws/testkit/peers';
import { serverStage } from './stage.ts';

flowSuite(serverStage);
