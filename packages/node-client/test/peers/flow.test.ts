import { flowSuite } from '@ws/testkit/peers';
import { clientStage } from './stage.ts';

flowSuite(clientStage);
